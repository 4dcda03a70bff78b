// Package program runs a learner's program as a process, over real TCP. A test
// types into it, reads what it prints, and talks to it.
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
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/wire"
)

// asProgram is the environment variable that tells the test binary to be the
// program.
const asProgram = "TCP_STEPS_PROGRAM"

// Timeout is the time limit that [Main] sets for all tests together, instead of
// go test's ten minutes. It leaves time to compile with the race detector for
// the first time.
var Timeout = 2 * time.Minute

// Main is what a TestMain calls. In a process that [T.Start] started it runs
// main, and exits with status 0 when main returns. Otherwise it runs the tests
// of m within [Timeout], unless a limit, -count, -bench or -fuzz was given.
func Main(m *testing.M, main func()) {
	if what := os.Getenv(asProgram); what != "" && what != "nothing" {
		main()
		os.Exit(0)
	}
	os.Exit(Run(m))
}

// Run is Main for tests that aren't the program themselves. It returns the exit
// status.
func Run(m *testing.M) int {
	if os.Getenv(asProgram) == "nothing" {
		return 0
	}
	flag.Parse()
	isDefault := value("timeout") == "10m0s" && value("count") == "1"
	if isDefault && value("bench") == "" && value("fuzz") == "" {
		flag.Set("test.timeout", Timeout.String())
	}
	return lesson.Run(m)
}

func value(name string) string { return flag.Lookup("test." + name).Value.String() }

// A Program is the learner's main, running as a process. It is killed when the
// exercise ends. Its methods belong to the goroutine of the test.
type Program struct {
	e      *lesson.Exercise
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	typed  chan struct{} // closed when all that was typed so far is written
	stdout recorder
	stderr recorder
	all    recorder // standard output and standard error, as they came
	ended  chan struct{}
	peers  []*Peer

	stopped bool
	greedy  atomic.Int64 // the bytes it had when it was killed for having too many
}

// maxMemory is how much memory a program may have, in bytes. The exercises need
// a twentieth of that.
const maxMemory = 256 << 20

// watchMemory kills the program when it takes memory without end, where the
// system says how much it has.
func (p *Program) watchMemory() {
	for {
		select {
		case <-p.ended:
			return
		case <-time.After(tick):
		}
		if held, ok := memory(p.cmd.Process.Pid); ok && held > maxMemory {
			p.greedy.Store(held)
			p.cmd.Process.Kill()
			return
		}
	}
}

// Start runs the test binary as the learner's main, with the given arguments,
// in its turn on port 20000. It doesn't wait for anything that main does.
func (t *T) Start(args ...string) *Program {
	t.Helper()
	file, err := os.Executable()
	if err != nil {
		t.Fatalf("The program can't be found: %v.", err)
	}
	return t.start(file, args)
}

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
	close(p.typed) // nothing was
	// Under -race a program would wait for a second before it exits.
	p.cmd.Env = append(os.Environ(), asProgram+"=1",
		"GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
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
		e.Fatalf("The program can't be started: %v.", err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	go p.watchMemory()
	t.programs = append(t.programs, p)
	if deadline, ok := e.Deadline(); ok {
		// At go test's time limit this process dies without a chance to clean
		// up.
		late := time.AfterFunc(time.Until(deadline)-tick, func() { p.cmd.Process.Kill() })
		t.onEnd(func() { late.Stop() })
	}
	return p
}

// Stop ends the program and its connections, and leaves them out of what a
// failure shows: for an exercise that goes on without them.
func (p *Program) Stop() {
	p.stopped = true
	p.end()
}

func (p *Program) finish() {
	p.e.Helper()
	state := p.state()
	if p.e.Failed() && !p.stopped {
		for _, peer := range p.peers {
			peer.take()
		}
	}
	p.end()
	if held := p.greedy.Load(); held > 0 && !p.e.Failed() {
		p.e.Errorf(`
			The program had %d MiB of memory, far more than it needs, so the test ended it.

			Either it starts goroutines in a loop that never waits, or something grows in a
			loop without end.`, held>>20)
	}
	if race := "WARNING: DATA RACE"; strings.Contains(p.all.String(), race) && !p.e.Failed() {
		p.e.Errorf(`
			The race detector found a data race in the program%s.

			Two goroutines use the same memory at the same time, and at least one of them
			writes to it. The result is unpredictable.`, lesson.Lines(p.all.String()))
	}
	if p.e.Failed() && !p.stopped {
		p.draw(state)
		lesson.ShowOutput(p.e.T, lesson.WithoutTraces(p.all.String()))
	}
}

func (p *Program) end() {
	p.cmd.Process.Kill()
	<-p.ended
	for _, peer := range p.peers {
		peer.conn.Close()
	}
}

// Type types the text, which the program reads from its standard input. If the
// program has ended, nothing happens. If it's slow to read, Type doesn't wait
// longer than a second; the rest is typed meanwhile.
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
	case <-time.After(patience * tick): // the program does not read what is typed
	}
}

// CloseInput ends the program's standard input behind what was typed, as Ctrl-D
// does in a terminal.
func (p *Program) CloseInput() {
	for _, peer := range p.peers {
		peer.picture.Note(peer.side.Other(), "the input ends")
	}
	go func() {
		<-p.typed
		p.stdin.Close()
	}()
}

// Shows waits until the program's standard output contains the text, and
// reports whether it does.
func (p *Program) Shows(text string) bool {
	return p.wait(func() bool { return strings.Contains(p.stdout.String(), text) })
}

// Says waits until the program has printed anything but white space, be it to
// standard output or to standard error, and reports whether it has.
func (p *Program) Says() bool {
	return p.wait(func() bool { return strings.TrimSpace(p.all.String()) != "" })
}

// SaysOther waits until the program has printed a line, to standard output or
// to standard error, that known doesn't contain, and reports whether it has.
// Blanks around a line and digits, which may be of a clock, don't count.
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

// Stdout returns what the program has written to its standard output so far,
// Stderr what it has written to its standard error, and Output both; each the
// first MiB.
func (p *Program) Stdout() string { return p.stdout.String() }

// Stderr: see Stdout.
func (p *Program) Stderr() string { return p.stderr.String() }

// Output: see Stdout.
func (p *Program) Output() string { return p.all.String() }

// Ended waits until the program has ended, and reports whether it has.
func (p *Program) Ended() bool {
	return p.wait(p.hasEnded)
}

// ExitStatus returns the status with which the program has ended; -1 if it is
// still running, or a signal has ended it.
func (p *Program) ExitStatus() int {
	if !p.hasEnded() {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// Interrupt does what Ctrl-C does in a terminal, and reports whether this
// system can do that to another program.
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

// StaysUp waits for a twentieth of the usual time, or longer on a busy machine,
// and reports whether the program is still running. A program that has begun to
// exit is gone by then.
func (p *Program) StaysUp() bool {
	for w := (countdown{left: patience / 20}); w.more(); {
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

// ComesToRest waits until the program waits for something or exits, and reports
// whether it does. A busy loop never rests, and neither does a loop that starts
// goroutines without end. Where the system doesn't tell, it reports true.
func (p *Program) ComesToRest() bool {
	resting := 0 // samples in a row
	for w := (countdown{left: patience}); resting < 5 && !p.hasEnded() && w.more(); {
		before, _ := look(p.cmd.Process.Pid)
		time.Sleep(2 * time.Millisecond)
		after, now := look(p.cmd.Process.Pid)
		if now == waiting && after-before < 200*time.Microsecond {
			resting++
			continue
		}
		resting = 0
		time.Sleep(tick)
	}
	return resting == 5 || p.hasEnded() && p.greedy.Load() == 0
}

// An activity is what a process does at a moment.
type activity int

const (
	gone    activity = iota // it has exited
	waiting                 // all of its threads wait for something
	running                 // a thread runs, or waits for a processor
)

func (p *Program) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// wait looks whether a condition holds until it does, the program has ended, or
// patience is at its end.
func (p *Program) wait(holds func() bool) bool {
	timer := time.NewTicker(tick)
	defer timer.Stop()
	for w := (countdown{left: patience}); !p.hasEnded() && !holds(); {
		select {
		case <-p.ended: // all of its output is there now
		case <-p.all.wait():
		case <-timer.C:
			if !w.more() {
				return holds()
			}
		}
	}
	return holds()
}

// Crashed reports whether the program has ended by a panic, or by another error
// that Go does not let a program survive.
func (p *Program) Crashed() bool {
	return p.hasEnded() && p.cmd.ProcessState.ExitCode() == 2 &&
		lesson.Crash(p.stderr.String()) != ""
}

// String says in a few words what has become of the program, as part of a
// failure's message: "it's still running", "it exited with status 0", "it
// crashed at main.go:31: …". Give the program itself to a message, so that a
// test that passes doesn't wait for the words.
func (p *Program) String() string {
	p.settle()
	switch {
	case !p.hasEnded():
		return "it's still running"
	case p.Crashed():
		return "it crashed" + lesson.Crash(p.stderr.String())
	case p.greedy.Load() > 0:
		return fmt.Sprintf("it took %d MiB of memory, so the test ended it", p.greedy.Load()>>20)
	case p.ExitStatus() == -1:
		return "it was ended by a signal: " + p.cmd.ProcessState.String()
	}
	return fmt.Sprintf("it exited with status %d", p.cmd.ProcessState.ExitCode())
}

// state is String for the picture.
func (p *Program) state() string {
	switch {
	case !p.hasEnded():
		return "still running"
	case p.Crashed():
		return "crashed"
	case p.ExitStatus() == -1:
		return "ended by a signal"
	}
	return fmt.Sprintf("exited with status %d", p.cmd.ProcessState.ExitCode())
}

// settle gives a program whose last sign of life was the end of a connection
// the time to end itself.
func (p *Program) settle() {
	select {
	case <-p.ended:
	case <-time.After(patience / 10 * tick):
	}
}
