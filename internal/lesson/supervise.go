package lesson

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// supervised is an environment variable. In a process that runs the tests for
// another process, it names the folder that both use.
const supervised = "TCP_STEPS_SUPERVISED"

// Run is m.Run for a TestMain: it runs the tests of m and returns the exit
// status.
//
// A learner's code that runs in the test's own process can end that process:
// log.Fatal and os.Exit do, and so does a panic in a goroutine. Then the
// exercise and those after it would end without a word. So, under go test, Run
// runs the tests in a second process and passes its output on. If that process
// ends early, Run says why and runs the remaining tests in another process. A
// debugger, which doesn't start the tests as go test does, gets m itself.
func Run(m *testing.M) int {
	defer removeFolders()
	if dir := os.Getenv(supervised); dir != "" {
		restoreRed(dir)
		if flag.Lookup("test.bench").Value.String() == "" {
			collectLess()
		}
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

// collectLess makes the garbage collector run less often: the tests hold little
// memory but make much garbage, and a fifth of their time goes into collecting.
// The limit keeps the garbage far below [maxHeap].
func collectLess() {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(maxHeap / 2)
}

// restoreRed restores the red exercises of the processes before this one.
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
	// Ctrl-C reaches the tests as well. This process outlives them, to remove
	// the folder; another Ctrl-C ends it.
	interrupted, restore := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(interrupted, restore)
	failed := false
	var ran []string
	for {
		cmd := exec.Command(file, os.Args[1:]...)
		if len(ran) > 0 {
			cmd.Args = append(cmd.Args, "-test.skip="+s.without(ran))
		}
		cmd.Env = append(os.Environ(), supervised+"="+s.dir, RaceOptions())
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
		if killed(cmd.ProcessState) {
			// If it was Ctrl-C, this process learns of it a moment later.
			select {
			case <-interrupted.Done():
			case <-time.After(time.Second):
			}
		}
		if interrupted.Err() != nil {
			return cmd.ProcessState.ExitCode()
		}
		ended := load(s.dir)
		timedOut := strings.Contains(crash.held.String(), "panic: test timed out")
		if ended.Test == "" || timedOut {
			os.Stdout.WriteString(crash.held.String())
			keepFromCache(s.dir)
			status := cmd.ProcessState.ExitCode()
			if status == 0 && failed {
				return 1
			}
			return status
		}
		// The process ended within an exercise. Say so, and go on behind it.
		failed = true
		ended.tell(os.Stdout, cmd.ProcessState, crash.held.String())
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

// killed reports whether a process was ended from outside, as by Ctrl-C.
func killed(state *os.ProcessState) bool {
	const controlC = 0xC000013A // STATUS_CONTROL_C_EXIT, on Windows
	return !state.Exited() || uint32(state.ExitCode()) == controlC
}

// without returns the pattern that makes go test skip the tests that ran, and
// what it was told to skip.
func (s *supervisor) without(ran []string) string {
	pattern := "^(" + strings.Join(ran, "|") + ")$"
	if s.skip != "" {
		pattern = "(?:" + s.skip + ")|" + pattern
	}
	return pattern
}

// tell writes the failure of an exercise within which its process ended: in
// which scenario, how the process ended, and what it printed about a crash.
func (s state) tell(w io.Writer, process *os.ProcessState, crash string) {
	var out strings.Builder
	if s.Aborts != "" {
		out.WriteString(s.Aborts)
	} else {
		out.WriteString(s.failure(reason(process, crash)))
		fmt.Fprint(indentWriter{&out}, OutputText(firstMiB(s.Output)))
	}
	if p := s.place(); p.section != "" {
		fmt.Fprint(indentWriter{&out}, "\n"+p.directions())
	}
	marker := ""
	if strings.Contains(flag.Lookup("test.v").Value.String(), "test2json") {
		marker = "\x16"
	}
	fmt.Fprintf(&out, "%s--- FAIL: %s (%.2fs)\n", marker, s.Test, time.Since(s.Began).Seconds())
	io.WriteString(w, out.String())
}

// reason returns the message of an exercise within which its process ended.
func reason(process *os.ProcessState, crash string) string {
	why, _, _ := strings.Cut(Crash(crash), " [recovered")
	switch {
	case strings.Contains(crash, OSExit):
		return "The program called os.Exit" + strings.TrimSuffix(why, ": "+OSExit) + `.

			os.Exit ends the whole program at once, and every connection with it. Return
			instead. A function that has a connection must close it first, with defer or
			before each return.`
	case strings.Contains(crash, " [recovered"): // by the package testing
		return "The function that the test called crashed" + why + `

			A panic ends the whole program, and every connection with it.` + Advice(why)
	case crash != "":
		return "A goroutine that the program started crashed" + why + `

			A panic in any goroutine ends the whole program, and every connection with it.
			No other goroutine can recover from it.` + Advice(why)
	case killed(process):
		return fmt.Sprintf(`
			The system ended the program in the middle of the exercise: %v.

			It does that if the machine runs out of memory, for example.`, process)
	}
	return fmt.Sprintf(`
		The program exited with status %d in the middle of the exercise.

		log.Fatal and os.Exit end the whole program at once, and every connection with
		it. Return instead. A function that has a connection must close it first, with
		defer or before each return.`, process.ExitCode())
}

// OSExit is the value with which the package testing panics at os.Exit(0).
const OSExit = "unexpected call to os.Exit(0) during test"

// uncached is the name of an empty file. A supervised process makes it to keep
// go test from caching its verdict.
const uncached = "uncached"

// doNotCache makes go test run the tests again next time, even if nothing
// changes, because the verdict depends on the machine's state.
func doNotCache() {
	if dir := os.Getenv(supervised); dir != "" {
		os.WriteFile(filepath.Join(dir, uncached), nil, 0o666)
	}
}

// keepFromCache keeps the go command from caching the verdict, if the process
// supervised in dir asked for that. The command caches a verdict with a list of
// the files and variables that the tests used. It refuses a malformed list.
func keepFromCache(dir string) {
	if _, err := os.Stat(filepath.Join(dir, uncached)); err != nil {
		return
	}
	if f := flag.Lookup("test.testlogfile"); f != nil && f.Value.String() != "" {
		os.WriteFile(f.Value.String(), []byte("the verdict depends on the machine\n"), 0o666)
	}
}

// TempDir returns a new folder. [Run] removes it when the tests have ended, and
// under go test even if their process crashed. It isn't for concurrent use.
func TempDir() (string, error) {
	dir, err := os.MkdirTemp(os.Getenv(supervised), "tcp-steps")
	folders = append(folders, dir)
	return dir, err
}

// folders are those that TempDir made.
var folders []string

func removeFolders() {
	for _, dir := range folders {
		os.RemoveAll(dir)
	}
}
