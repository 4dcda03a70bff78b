package lesson

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// supervised is the environment variable by which a process knows that it runs the
// tests for another one, which waits for it: the folder that both use.
const supervised = "TCP_STEPS_SUPERVISED"

// Run is m.Run for a TestMain: it runs the tests of m and returns the exit status.
//
// Code of a learner that runs in the test's own process can end that process:
// log.Fatal and os.Exit do, and so does a panic in a goroutine that it has started.
// Then the exercise would be gone without a word. So, where go test runs the tests, Run
// runs them in a second process, passes its output on, and tells the end of
// the story if that process does not get to it. A debugger gets the tests
// themselves.
func Run(m *testing.M) int {
	defer func() { os.RemoveAll(raceFolder) }()
	if dir := os.Getenv(supervised); dir != "" {
		status := m.Run()
		current.clear()
		return status
	}
	if !flag.Parsed() {
		flag.Parse()
	}
	if f := flag.Lookup("test.paniconexit0"); f == nil || f.Value.String() != "true" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "tcp-steps")
	if err != nil {
		return m.Run()
	}
	defer os.RemoveAll(dir)
	return supervise(dir)
}

// current is the exercise that runs in this process. A process that is supervised
// keeps it in a file, too: what the file says when the process has gone is where it ended.
var current record

type record struct {
	name, section, output string // the test, its section, the file with its output
}

func (r *record) begin(t *testing.T, section string) {
	*r = record{name: t.Name(), section: section}
	r.save()
}

func (r *record) clear() {
	*r = record{}
	r.save()
}

func (r *record) save() {
	if dir := os.Getenv(supervised); dir != "" {
		text, _ := json.Marshal([]string{r.name, r.section, r.output})
		os.WriteFile(filepath.Join(dir, "current"), text, 0o666)
	}
}

func load(dir string) record {
	var fields [3]string
	if text, err := os.ReadFile(filepath.Join(dir, "current")); err == nil {
		json.Unmarshal(text, &fields)
	}
	return record{fields[0], fields[1], fields[2]}
}

// supervise runs the tests as a process.
func supervise(dir string) int {
	file, err := os.Executable()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	cmd := exec.Command(file, os.Args[1:]...)
	cmd.Env = append(os.Environ(), supervised+"="+dir, raceOptions())
	out := &lines{w: os.Stdout}
	crash := &lines{w: os.Stdout, until: crashes}
	cmd.Stdout, cmd.Stderr = out, crash
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	cmd.Wait()
	out.flush()
	crash.flush()
	if ended := load(dir); ended.name != "" && !strings.HasPrefix(crash.held.String(), "panic: test timed out") {
		ended.tell(os.Stdout, cmd.ProcessState.ExitCode(), crash.held.String())
		return 1
	}
	os.Stdout.WriteString(crash.held.String())
	return cmd.ProcessState.ExitCode()
}

// crashes begins what Go says about a program that crashes.
var crashes = regexp.MustCompile(`^(panic|fatal error): `)

// lines passes on whole lines, and, from the first one on that matches until, keeps them.
type lines struct {
	w     io.Writer
	until *regexp.Regexp
	mu    sync.Mutex
	rest  strings.Builder // of a line
	held  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(string(p)) {
		l.rest.WriteString(line)
		if strings.HasSuffix(line, "\n") {
			l.pass()
		}
	}
	return len(p), nil
}

func (l *lines) pass() {
	line := l.rest.String()
	l.rest.Reset()
	if l.held.Len() > 0 || l.until != nil && l.until.MatchString(line) {
		l.held.WriteString(line)
		return
	}
	io.WriteString(l.w, line)
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rest.Len() > 0 {
		l.pass()
	}
}

// tell ends the story of an exercise that ended the process.
func (r record) tell(w io.Writer, status int, crash string) {
	var text string
	why := recovered.ReplaceAllString(Crash(crash), "")
	switch {
	case strings.Contains(crash, "unexpected call to os.Exit(0) during test"):
		text = fmt.Sprintf("the program has called os.Exit%s, which ends all of it, and asks nobody. The function that the test called is to return instead",
			strings.TrimSuffix(why, ": unexpected call to os.Exit(0) during test"))
	case strings.Contains(crash, " [recovered"): // by the package testing
		text = fmt.Sprintf("the function that the test called crashed%s, and the whole program with it", why)
	case crash != "":
		text = fmt.Sprintf("a goroutine that the program has started crashed%s, and the whole program with it. What panics in a goroutine "+
			"of its own cannot be caught by anybody else", why)
	default:
		text = fmt.Sprintf("the function that the test called ended the whole program, with exit status %d: log.Fatal and os.Exit do, "+
			"and ask nobody. In a server that is the end of every connection", status)
	}
	text = strings.ReplaceAll(wrap(text), "\n", "\n        ")
	var out strings.Builder
	fmt.Fprintf(&out, "    %s\n", text)
	if r.output != "" {
		showOutput(indented{&out}, firstMiB(r.output))
	}
	fmt.Fprintf(&out, "    \n        read on: %s\n", r.section)
	fmt.Fprint(indented{&out}, progress(r.section))
	marker := ""
	if strings.Contains(flag.Lookup("test.v").Value.String(), "test2json") {
		marker = "\x16"
	}
	fmt.Fprintf(&out, "%s--- FAIL: %s (0.00s)\n", marker, r.name)
	fmt.Fprint(w, out.String())
}

// recovered is what Go adds to the reason of a panic that the package testing has recovered, and panics with anew.
var recovered = regexp.MustCompile(` \[recovered[^\]]*\]`)

// indented writes as t.Output does.
type indented struct{ w io.Writer }

func (i indented) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		fmt.Fprintf(i.w, "    %s", line)
	}
	return len(p), nil
}

// learnersLine matches, in the traces of Go's goroutines, the first line of code that is
// in one of the learner's rooms: "\t/some/where/main.go:31 +0x45".
var learnersLine = regexp.MustCompile(`\n *\S*/step[^\n]*\n\s+(?:[^\n]*[/\\])?(\w+\.go:\d+)`)

// Crash says at which line of the learner's, and why, a program crashed that has
// printed the given text: " at main.go:31: index out of range". It returns "" if
// the text does not tell of a crash.
func Crash(text string) string {
	reason := ""
	in := bufio.NewScanner(strings.NewReader(text))
	for in.Scan() {
		if prefix := crashes.FindString(in.Text()); prefix != "" {
			reason = strings.TrimPrefix(in.Text(), "panic: ")
			break
		}
	}
	_, traces, found := strings.Cut(text, "\ngoroutine ")
	if reason == "" || !found {
		return ""
	}
	if line := learnersLine.FindStringSubmatch(traces); line != nil {
		return fmt.Sprintf(" at %s: %s", line[1], reason)
	}
	return ": " + reason
}

// ReasonToWait says what a goroutine of the learner's in this process is waiting for
// that only another goroutine could give, or that never comes.
func ReasonToWait() string {
	stacks := make([]byte, 1<<20)
	return reasonToWait(string(stacks[:runtime.Stack(stacks, true)]))
}

func reasonToWait(stacks string) string {
	waits, writes, network, sleeps := "", "", "", ""
	for _, stack := range strings.Split(stacks, "\n\n") {
		line := learnersLine.FindStringSubmatch("\n" + stack)
		state, _, _ := strings.Cut(stack, "\n")
		switch {
		case line == nil || strings.Contains(line[1], "_test.go:"):
		case strings.Contains(state, "Mutex"):
			waits = line[1]
		case strings.Contains(state, "[IO wait"):
			network = line[1]
		case strings.Contains(stack, "\ntime.Sleep("):
			sleeps = line[1]
		case strings.Contains(stack, "/wire.(*Conn).Write("):
			writes = line[1]
		}
	}
	switch {
	case waits != "" && writes != "":
		return fmt.Sprintf("waits for a lock, at %s, while another goroutine, which may hold it, waits in Write, at %s, for a client that takes nothing", waits, writes)
	case waits != "":
		return "waits for a lock, at " + waits + ", that nobody gives back"
	case network != "":
		return "waits at " + network + " for a real connection or listener, not for the one that it was given"
	case sleeps != "":
		return "looks again and again, with a Sleep between, at " + sleeps + ", whether something has changed"
	}
	return "waits for a lock that nobody gives back, or uses a channel that was made at package level"
}

// Lines says which lines of the learner's the traces in text name: ", at main.go:17
// and main.go:21". It returns "" if there are none.
func Lines(text string) string {
	var places []string
	for _, line := range learnersLine.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(line[1], "_test.go:") && !slices.Contains(places, line[1]) {
			places = append(places, line[1])
		}
	}
	if len(places) == 0 {
		return ""
	}
	return ", at " + strings.Join(places, " and ")
}

// WithoutTraces returns text without Go's account of a crash, but for its reason.
func WithoutTraces(text string) string {
	if Crash(text) != "" {
		text, _, _ = strings.Cut(text, "\ngoroutine ")
		text, _, _ = strings.Cut(text, "\n[signal ")
	}
	return text
}
