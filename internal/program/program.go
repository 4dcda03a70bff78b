// Package program runs a learner's program as a process, over real TCP. The
// test types its input, reads what it prints, and talks to it.
//
// In steps 1 and 2 the test binary is the program: its TestMain calls [Main],
// and [T.Start] runs the same binary once more. In steps 3 and 4 [T.Build]
// builds the program.
package program

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program/limit"
	"example.com/tcp-steps/internal/wire"
)

// asProgram is the environment variable that tells the test binary to be the
// program.
const asProgram = "TCP_STEPS_PROGRAM"

// Timeout is the time limit that [Main] sets for all tests together, instead of
// go test's ten minutes. It leaves time for the first build with the race
// detector.
var Timeout = 2 * time.Minute

// Main is what a step's TestMain calls. It runs the tests of m, as [lesson.Run]
// does, and exits with their status. It sets the time limit [Timeout], unless
// go test got a limit, -count, -bench or -fuzz.
//
// In a process that [T.Start] started, the test binary is the learner's
// program: there Main calls main, and exits with status 0 when main returns.
// main may be nil if the tests never call T.Start.
func Main(m *testing.M, main func()) {
	switch os.Getenv(asProgram) {
	case "":
		os.Exit(run(m))
	case "nothing": // for IsMachineBusy
		os.Exit(0)
	}
	limit.Start()
	main()
	os.Exit(0)
}

func run(m *testing.M) int {
	flag.Parse()
	isDefault := value("timeout") == "10m0s" && value("count") == "1"
	if isDefault && value("bench") == "" && value("fuzz") == "" {
		flag.Set("test.timeout", Timeout.String())
	}
	return lesson.Run(m)
}

func value(name string) string { return flag.Lookup("test." + name).Value.String() }

// A Program is the learner's program, running as a process. It's killed when
// the scenario ends. Only the test's goroutine may call its methods.
type Program struct {
	e      *lesson.Exercise
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	typed  chan struct{} // closed when everything typed so far is written
	stdout recorder
	stderr recorder
	all    recorder      // standard output and standard error, as they came
	ended  chan struct{} // closed when the program has ended
	peers  []*Peer

	stopped bool
}

// Start runs the test binary as the learner's program, with the given
// arguments, in its turn on port 20000. It returns as soon as the process has
// started.
func (t *T) Start(args ...string) *Program {
	t.Helper()
	file, err := os.Executable()
	if err != nil {
		t.Fatalf("The test can't find the program: %v.", err)
	}
	return t.start(file, args)
}

// start runs the program in file.
func (t *T) start(file string, args []string) *Program {
	e := t.Exercise
	e.Helper()
	TakeTurn(e)
	p := &Program{
		e:     e,
		cmd:   exec.Command(file, args...),
		typed: make(chan struct{}),
		ended: make(chan struct{}),
	}
	close(p.typed)
	p.cmd.Env = append(os.Environ(), asProgram+"=1", lesson.RaceOptions())
	p.cmd.Stdout = io.MultiWriter(&p.stdout, &p.all)
	p.cmd.Stderr = io.MultiWriter(&p.stderr, &p.all)
	stdin, err := p.cmd.StdinPipe()
	p.stdin = stdin
	p.cmd.SysProcAttr = dieWithUs
	p.cmd.WaitDelay = time.Second // a process that the program started may keep its output open
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		e.Fatalf("The test can't start the program: %v.", err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	t.programs = append(t.programs, p)
	if deadline, ok := e.Deadline(); ok {
		// At go test's time limit, this process dies and can't clean up.
		late := time.AfterFunc(time.Until(deadline)-tick, func() { p.cmd.Process.Kill() })
		t.onEnd(func() { late.Stop() })
	}
	return p
}

// Stop kills the program and closes its connections, for an exercise that goes
// on without them. A failure doesn't show them any more.
func (p *Program) Stop() {
	p.stopped = true
	p.end()
}

// finish kills the program at the end of the scenario. If the exercise failed,
// it shows what happened.
func (p *Program) finish() {
	p.e.Helper()
	if p.e.Failed() && !p.stopped {
		p.settle() // it may be about to exit
		for _, peer := range p.peers {
			peer.take()
		}
	}
	state := p.state()
	p.end()
	if p.isGreedy() && !p.e.Failed() {
		p.e.Errorf(`
			The program took over %d MiB of memory, far more than it needs, so the test ended it.

			Either a loop starts goroutines and never waits, or something grows in a loop
			without end.`, limit.Memory>>20)
	}
	if race := lesson.DataRace(p.all.String()); race != "" && !p.e.Failed() {
		p.e.Errorf("In the program, %s", race)
	}
	if p.e.Failed() && !p.stopped {
		p.draw(state)
		fmt.Fprint(p.e.Output(), lesson.OutputText(lesson.WithoutTraces(p.all.String())))
	}
}

// draw adds to the failure the pictures of the last two connections on which
// anything happened. state is what the program is doing.
func (p *Program) draw(state string) {
	var last []int
	for i, peer := range p.peers {
		if !peer.picture.Empty() {
			last = append(last, i)
		}
	}
	last = last[max(0, len(last)-2):]
	for n, i := range last {
		peer := p.peers[i]
		if len(p.peers) > 1 {
			peer.picture.Name = strconv.Itoa(i + 1)
		}
		var states [2][]string
		if n == len(last)-1 {
			states[peer.side.Other()] = []string{state}
		}
		fmt.Fprintf(p.e.Output(), "\n%s", peer.picture.Draw(states[wire.Client],
			states[wire.Server]))
	}
}

// end kills the program and closes its connections.
func (p *Program) end() {
	p.cmd.Process.Kill()
	<-p.ended
	for _, peer := range p.peers {
		peer.conn.Close()
	}
}

// Type writes the text to the program's standard input. It waits until the text
// is written, for at most a second. After that a goroutine goes on writing. If
// the program has ended, the text is lost.
func (p *Program) Type(text string) {
	for _, peer := range p.peers {
		peer.picture.Note(peer.side.Other(), "typed: "+wire.Show(text))
	}
	before, typed := p.typed, make(chan struct{})
	p.typed = typed
	go func() {
		defer close(typed)
		<-before
		io.WriteString(p.stdin, text)
	}()
	select {
	case <-typed:
	case <-time.After(patience * tick): // the program doesn't read its input
	}
}

// CloseInput ends the program's standard input after everything that was typed,
// as Ctrl-D does in a terminal.
func (p *Program) CloseInput() {
	for _, peer := range p.peers {
		peer.picture.Note(peer.side.Other(), "the input ends")
	}
	typed := p.typed
	go func() {
		<-typed
		p.stdin.Close()
	}()
}

// Shows waits until the program's standard output contains the text, and
// reports whether it does.
func (p *Program) Shows(text string) bool {
	return p.wait(func() bool { return strings.Contains(p.stdout.String(), text) })
}

// Says waits until the program has printed anything but white space, to
// standard output or to standard error, and reports whether it has.
func (p *Program) Says() bool {
	return p.wait(func() bool { return strings.TrimSpace(p.all.String()) != "" })
}

// SaysOther waits until the program has printed a line that known doesn't
// contain, to standard output or to standard error, and reports whether it has.
// Blanks around a line don't count, and neither do digits, which may tell the
// time.
func (p *Program) SaysOther(known string) bool {
	known = withoutDigits(known)
	return p.wait(func() bool {
		for line := range strings.Lines(withoutDigits(p.all.String())) {
			if !strings.Contains(known, strings.TrimSpace(line)) {
				return true
			}
		}
		return false
	})
}

func withoutDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// Prints waits until the program's standard output or its standard error
// contains the text, and reports whether one of them does.
func (p *Program) Prints(text string) bool {
	return p.wait(func() bool {
		return strings.Contains(p.stdout.String(), text) || strings.Contains(p.stderr.String(),
			text)
	})
}

// Stdout returns what the program has written to its standard output so far, at
// most the first MiB.
func (p *Program) Stdout() string { return p.stdout.String() }

// Stderr returns what the program has written to its standard error so far, at
// most the first MiB.
func (p *Program) Stderr() string { return p.stderr.String() }

// Output returns what the program has written to either so far, in the order in
// which it came, at most the first MiB.
func (p *Program) Output() string { return p.all.String() }

// Ended waits until the program has ended, and reports whether it has.
func (p *Program) Ended() bool {
	return p.wait(p.hasEnded)
}

// ExitStatus returns the program's exit status. It returns -1 if the program is
// still running, or if a signal ended it.
func (p *Program) ExitStatus() int {
	if !p.hasEnded() {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// Interrupt interrupts the program, as Ctrl-C does in a terminal. It returns
// false if this system can't interrupt another program.
func (p *Program) Interrupt() bool {
	if runtime.GOOS == "windows" {
		return false
	}
	for _, peer := range p.peers {
		peer.picture.Note(peer.side.Other(), "Ctrl-C")
	}
	p.cmd.Process.Signal(os.Interrupt)
	return true
}

// StaysUp waits for a twentieth of a second, or longer on a busy machine, and
// reports whether the program is still running. A program that has begun to
// exit isn't.
func (p *Program) StaysUp() bool {
	for w := p.countdown(patience / 20); w.more(); {
		select {
		case <-p.ended:
			return false
		case <-time.After(tick):
		}
	}
	if _, now := look(p.cmd.Process.Pid); now == gone {
		<-p.ended
		return false
	}
	return true
}

// ComesToRest waits until the program is idle or has exited, and reports
// whether it is. A busy loop never rests, and neither does a loop that starts
// goroutines without end. On a system that doesn't tell, ComesToRest returns
// true.
func (p *Program) ComesToRest() bool {
	resting := 0 // samples in a row
	for w := p.countdown(patience); resting < 5 && !p.hasEnded() && w.more(); {
		before, _ := look(p.cmd.Process.Pid)
		time.Sleep(2 * time.Millisecond)
		after, now := look(p.cmd.Process.Pid)
		if now == unknown || now == waiting && after.ran-before.ran < 200*time.Microsecond {
			resting++
			continue
		}
		resting = 0
		time.Sleep(tick)
	}
	return resting == 5 || p.hasEnded() && !p.isGreedy()
}

// An activity is what a process is doing at a moment.
type activity int

const (
	unknown activity = iota
	gone             // it has exited
	waiting          // all its threads wait for something
	running          // a thread runs, or waits for a processor
)

// A usage is how long a process's threads have run, and how long they have
// waited for a processor.
type usage struct{ ran, delayed time.Duration }

func (p *Program) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// wait waits until holds returns true, the program has ended or a second has
// passed. It reports what holds returns then.
func (p *Program) wait(holds func() bool) bool {
	timer := time.NewTicker(tick)
	defer timer.Stop()
	for w := p.countdown(patience); !p.hasEnded() && !holds(); {
		select {
		case <-p.ended: // all its output is there now
		case <-p.all.wait():
		case <-timer.C:
			if !w.more() {
				return holds()
			}
		}
	}
	return holds()
}

// Crashed reports whether the program has ended by a panic or another fatal
// error.
func (p *Program) Crashed() bool {
	return p.hasEnded() && p.cmd.ProcessState.ExitCode() == 2 &&
		lesson.Crash(p.stderr.String()) != ""
}

// isGreedy reports whether the program has ended because it took too much
// memory.
func (p *Program) isGreedy() bool {
	return p.ExitStatus() == limit.ExitStatus
}

// String returns the program's state, for a failure that has named the program:
// "is still running", "exited with status 0", "crashed at main.go:31: …". It
// waits for a tenth of a second if the program is still running. So pass the
// program itself to a message: a test that passes then never calls String.
func (p *Program) String() string {
	p.settle()
	switch {
	case !p.hasEnded():
		return "is still running"
	case p.Crashed():
		return "crashed" + lesson.Crash(p.stderr.String())
	case p.isGreedy():
		return fmt.Sprintf("took over %d MiB of memory, so the test ended it", limit.Memory>>20)
	case p.ExitStatus() == -1:
		return "was ended by a " + p.cmd.ProcessState.String() // "signal: interrupt"
	}
	return fmt.Sprintf("exited with status %d", p.cmd.ProcessState.ExitCode())
}

// state returns String's words for the picture.
func (p *Program) state() string {
	switch {
	case !p.hasEnded():
		return "still running"
	case p.Crashed():
		return "crashed"
	case p.isGreedy():
		return "ended by the test"
	case p.ExitStatus() == -1:
		return "ended by a signal"
	}
	return fmt.Sprintf("exited with status %d", p.cmd.ProcessState.ExitCode())
}

// settle waits for a tenth of a second, or until the program has ended: it may
// just have closed its last connection.
func (p *Program) settle() {
	select {
	case <-p.ended:
	case <-time.After(patience / 10 * tick):
	}
}
