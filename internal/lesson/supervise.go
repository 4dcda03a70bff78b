package lesson

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// supervised is the environment variable by which a process knows that it runs
// the tests for another one, which waits for it: the folder that both use.
const supervised = "TCP_STEPS_SUPERVISED"

// Run is m.Run for a TestMain: it runs the tests of m and returns the exit
// status.
//
// A learner's code that runs in the test's own process can end that process:
// log.Fatal and os.Exit do, and so does a panic in a goroutine that it started.
// Then the exercise would be gone without a word, and so would those after it.
// So, where go test runs the tests, Run runs them in a second process and
// passes its output on. If that process ends early, Run says why and runs the
// rest of the tests in another one. A debugger gets the tests themselves.
func Run(m *testing.M) int {
	defer func() { os.RemoveAll(raceFolder) }()
	if dir := os.Getenv(supervised); dir != "" {
		restoreRed(dir)
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
	s := supervisor{dir: dir, skip: flag.Lookup("test.skip").Value.String()}
	return s.run()
}

// restoreRed has a process that runs the rest of the tests know which
// exercises were red before.
func restoreRed(dir string) {
	for n, section := range load(dir).Red {
		red[n], _ = parsePlace(section, "")
	}
}

// A supervisor runs the tests in processes of their own.
type supervisor struct {
	dir  string
	skip string // what go test was told to skip
}

func (s *supervisor) run() int {
	file, err := os.Executable()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	failed := false
	var ran []string
	for {
		cmd := exec.Command(file, os.Args[1:]...)
		if len(ran) > 0 {
			cmd.Args = append(cmd.Args, "-test.skip="+s.without(ran))
		}
		cmd.Env = append(os.Environ(), supervised+"="+s.dir, raceOptions())
		out := &lineWriter{w: os.Stdout}
		crash := &lineWriter{w: os.Stdout, holdsCrash: true}
		cmd.Stdout, cmd.Stderr = out, crash
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
			return 1
		}
		cmd.Wait()
		out.flush()
		crash.flush()
		ended := load(s.dir)
		timedOut := strings.Contains(crash.held.String(), "panic: test timed out")
		if ended.Test == "" || timedOut {
			os.Stdout.WriteString(crash.held.String())
			keepFromCache(s.dir)
			if status := cmd.ProcessState.ExitCode(); status != 0 {
				return status
			}
			return map[bool]int{false: 0, true: 1}[failed]
		}
		// The process ended within an exercise. Tell its story, and go on
		// behind it.
		failed = true
		ended.tell(os.Stdout, cmd.ProcessState.ExitCode(), crash.held.String())
		if ended.Output != "" {
			os.Remove(ended.Output)
		}
		if len(ended.Ran) == 0 || slices.Contains(ran, ended.Test) {
			return 1
		}
		ran = append(ran, ended.Ran...)
		red := ended.Red
		if red == nil {
			red = map[int]string{}
		}
		if p := ended.place(); p.section != "" {
			red[p.number] = p.section
		}
		next, _ := json.Marshal(state{Red: red})
		os.WriteFile(filepath.Join(s.dir, "current"), next, 0o666)
	}
}

// without returns the pattern for go test to skip the given tests, and what it
// skipped before.
func (s *supervisor) without(ran []string) string {
	pattern := "^(" + strings.Join(ran, "|") + ")$"
	if s.skip != "" {
		pattern = "(?:" + s.skip + ")|" + pattern
	}
	return pattern
}

// tell ends the story of an exercise that ended the process.
func (r state) tell(w io.Writer, status int, crash string) {
	var out strings.Builder
	if r.Aborts != "" {
		out.WriteString(r.Aborts)
	} else {
		text := strings.ReplaceAll(wrap(r.reason(status, crash), width), "\n", "\n        ")
		fmt.Fprintf(&out, "        %s\n", text)
		if r.Output != "" {
			showOutput(indented{&out}, firstMiB(r.Output))
		}
	}
	if p := r.place(); p.section != "" {
		fmt.Fprint(indented{&out}, "\n"+p.directions())
	}
	marker := ""
	if strings.Contains(flag.Lookup("test.v").Value.String(), "test2json") {
		marker = "\x16"
	}
	fmt.Fprintf(&out, "%s--- FAIL: %s (%.2fs)\n", marker, r.Test, time.Since(r.Began).Seconds())
	io.WriteString(w, out.String())
}

// reason says why a process ended within an exercise.
func (r state) reason(status int, crash string) string {
	why, _, _ := strings.Cut(Crash(crash), " [recovered")
	switch {
	case strings.Contains(crash, osExit):
		return "The program called os.Exit" + strings.TrimSuffix(why, ": "+osExit) + `.

			os.Exit ends the whole program at once, with every connection. The function that
			the test called must return instead.`
	case strings.Contains(crash, " [recovered"): // by the package testing
		return "The function that the test called crashed" + why + `

			A panic ends the whole program.`
	case crash != "":
		return "A goroutine that the program started crashed" + why + `

			A panic in a goroutine ends the whole program, with every connection; no other
			goroutine can catch it.`
	}
	return fmt.Sprintf(`
		The function that the test called ended the whole program, with exit status %d.

		log.Fatal and os.Exit do that. In a server it's the end of every connection.`, status)
}

// osExit is the panic by which the package testing answers os.Exit(0).
const osExit = "unexpected call to os.Exit(0) during test"

// uncached is the file by which a supervised process says that go test must not
// remember its verdict.
const uncached = "uncached"

// doNotCache has go test run the tests again next time, even if nothing
// changes: the verdict depended on the state of the machine.
func doNotCache() {
	if dir := os.Getenv(supervised); dir != "" {
		os.WriteFile(filepath.Join(dir, uncached), nil, 0o666)
	}
}

// keepFromCache makes the list of files and variables that the tests used, by
// which the go command knows when a verdict still holds, one that it refuses.
func keepFromCache(dir string) {
	if _, err := os.Stat(filepath.Join(dir, uncached)); err != nil {
		return
	}
	if f := flag.Lookup("test.testlogfile"); f != nil && f.Value.String() != "" {
		os.WriteFile(f.Value.String(), []byte("the verdict depends on the machine\n"), 0o666)
	}
}

// TempDir returns a new folder that's removed when the tests have ended, even
// if their process crashed.
func TempDir() (string, error) { return os.MkdirTemp(os.Getenv(supervised), "tcp-steps") }
