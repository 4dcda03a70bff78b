package lesson_test

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/tcp-steps/internal/lesson"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(lesson.Run(m)) }

// exercise runs an exercise of a little lesson, whose second exercise fails.
// The lesson runs in a process of its own, where LESSON is set. Elsewhere
// exercise does nothing.
func exercise(t *testing.T, section string, do func(e *lesson.Exercise)) {
	if os.Getenv("LESSON") != "" {
		do(lesson.Start(t, section, "main.go"))
	}
}

func TestLesson1(t *testing.T) {
	exercise(t, "docs/0.md#1-begin", func(e *lesson.Exercise) {})
}

func TestLesson2(t *testing.T) {
	exercise(t, "docs/0.md#2-fail-with-words", func(e *lesson.Exercise) {
		require.Equalf(e, 1, 2,
			"what the program did is said in a sentence that is so long that it does not fit into "+
				"%s, and it keeps its  blanks", "one line")
	})
}

func TestLesson3(t *testing.T) {
	exercise(t, "docs/0.md#3-go-on", func(e *lesson.Exercise) {
		fmt.Fprint(e.Output(), lesson.OutputText("1\n2\x00\xff\n世界\n4\n"+
			strings.Repeat("5", 100)+"err\n6\r\n"+strings.Repeat("between\n", 1000)+"8\n9\n\n"))
		require.Equal(e, 1, 2)
	})
}

func TestExit(t *testing.T) {
	if os.Getenv("LESSON") != "ends early" {
		return
	}
	exercise(t, "docs/0.md#4-end-early", func(e *lesson.Exercise) {
		lesson.CaptureOutput(e)
		log.SetFlags(0)
		log.Fatal("there is no way on")
	})
}

func TestCrashing(t *testing.T) {
	if os.Getenv("LESSON") != "crashes" {
		return
	}
	exercise(t, "docs/0.md#5-crash", func(e *lesson.Exercise) {
		switch os.Getenv("HOW") {
		case "in a bubble":
			synctest.Test(e.T, func(*testing.T) { panic("out of order") })
		case "by os.Exit":
			go os.Exit(0)
		case "by the system":
			self, err := os.FindProcess(os.Getpid())
			require.NoError(e, err)
			require.NoError(e, self.Kill())
		default:
			e.Scenario("a goroutine that panics")
			go func() { panic("out of order") }()
		}
		select {}
	})
}

func TestAborting(t *testing.T) {
	if os.Getenv("LESSON") != "aborts" {
		return
	}
	exercise(t, "docs/0.md#6-abort", func(e *lesson.Exercise) {
		lesson.Abort("It can't be stopped.", lesson.OutputText("…"))
	})
}

// A Ctrl-C in the terminal reaches the tests and the process that supervises
// them.
func TestInterrupted(t *testing.T) {
	if os.Getenv("LESSON") != "is interrupted" {
		return
	}
	exercise(t, "docs/0.md#8-interrupt", func(e *lesson.Exercise) {
		_, err := lesson.TempDir()
		require.NoError(e, err)
		for _, pid := range []int{os.Getppid(), os.Getpid()} {
			process, err := os.FindProcess(pid)
			require.NoError(e, err)
			require.NoError(e, process.Signal(os.Interrupt))
		}
		select {}
	})
}

func TestLast(t *testing.T) {
	exercise(t, "docs/0.md#9-be-the-last", func(e *lesson.Exercise) {})
}

func TestRacing(t *testing.T) {
	if os.Getenv("LESSON") != "races" {
		return
	}
	exercise(t, "docs/0.md#6-race", func(e *lesson.Exercise) {
		shared, done := 0, make(chan bool)
		for range 2 {
			go func() {
				shared++
				done <- true
			}()
		}
		<-done
		<-done
		e.AgainUnderRace()
	})
}

func TestSlow(t *testing.T) {
	if os.Getenv("LESSON") != "is slow" {
		return
	}
	exercise(t, "docs/0.md#7-be-quick", func(e *lesson.Exercise) {
		require.Empty(e, os.Getenv("TCP_STEPS_SECOND_RUN"),
			"it took too long, and this is said in a sentence that is longer than a line of this "+
				"terminal has room for")
		os.Setenv("TCP_STEPS_SECOND_RUN", "1")
		e.AgainUnderRace()
	})
}

func run(t *testing.T, env string, args ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], append(args, "-test.v")...)
	// With -trimpath, go reuses what it compiles for the proof of the course.
	cmd.Env = append(os.Environ(), "TCP_STEPS_SUPERVISED=", lesson.RunAll+"=",
		lesson.WithoutRace+"=", "GOFLAGS="+os.Getenv("GOFLAGS")+" -trimpath", "LESSON=1")
	cmd.Env = append(cmd.Env, strings.Split(env, ",")...)
	out, _ := cmd.CombinedOutput()
	var lines []string // what the exercises printed
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "    ") {
			lines = append(lines, strings.TrimRight(line, " \n"))
		}
	}
	text := lineNumber.ReplaceAllString(strings.Join(lines, "\n")+"\n", "lesson_test.go")
	return seconds.ReplaceAllString(text, "(0.00s)")
}

var lineNumber = regexp.MustCompile(`lesson_test\.go:\d+`)

var seconds = regexp.MustCompile(`\(\d+\.\d\ds\)`)

const failure = `    lesson_test.go: what the program did is said in a sentence that is
        so long that it does not fit into one line, and it keeps its  blanks

        read on: docs/0.md#2-fail-with-words
        edit:    internal/main.go
--- FAIL: TestLesson2 (0.00s)
`

func TestStart_SkipsWhatStandsOnARedExercise(t *testing.T) {
	require.Equal(t, "--- PASS: TestLesson1 (0.00s)\n"+failure+
		"    lesson_test.go: first: 2 fail with words\n--- SKIP: TestLesson3 (0.00s)\n",
		run(t, "", "-test.skip=Test([^L]|Last)"))
}

func TestStart_RunsWhatWasChosen(t *testing.T) {
	require.Contains(t, run(t, "", "-test.run=TestLesson"), "--- FAIL: TestLesson3")
	require.Contains(t, run(t, lesson.RunAll+"=1", "-test.skip=Test([^L]|Last)"),
		"--- FAIL: TestLesson3")
}

func TestStart_ForgetsWhatHasTurnedGreen(t *testing.T) {
	out := run(t, "", "-test.skip=Test([^L]|Last)", "-test.count=2")
	require.Equal(t, 2, strings.Count(out, failure), out)
	require.Equal(t, 2, strings.Count(out, "--- PASS: TestLesson1"), out)
}

func TestRun_TellsThatTheProcessWasEnded(t *testing.T) {
	require.Equal(t, `    lesson_test.go: The program exited with status 1 in the middle of
        the exercise.

        log.Fatal and os.Exit end the whole program at once, and every
        connection with it. Return instead. A function that has a connection
        must close it first, with defer or before each return.

        the program printed:
          there is no way on

        read on: docs/0.md#4-end-early
        edit:    internal/main.go
--- FAIL: TestExit (0.00s)
`, run(t, "LESSON=ends early", "-test.run=TestExit", "-test.paniconexit0"))
}

func TestRun_TellsThatAGoroutineCrashed(t *testing.T) {
	require.Equal(t, `    lesson_test.go: A goroutine that panics:
        A goroutine that the program started crashed: out of order

        A panic in any goroutine ends the whole program, and every connection
        with it. No other goroutine can recover from it.

        read on: docs/0.md#5-crash
        edit:    internal/main.go
--- FAIL: TestCrashing (0.00s)
`, run(t, "LESSON=crashes", "-test.run=TestCrashing", "-test.paniconexit0"))
	require.Contains(t, run(t, "LESSON=crashes,HOW=in a bubble", "-test.run=TestCrashing",
		"-test.paniconexit0"),
		"    lesson_test.go: The function that the test called crashed: out of\n        order\n")
	require.Contains(t, run(t, "LESSON=crashes,HOW=by os.Exit", "-test.run=TestCrashing",
		"-test.paniconexit0"),
		"    lesson_test.go: The program called os.Exit.\n\n"+
			"        os.Exit ends the whole program at once")
	if runtime.GOOS != "windows" { // where a killed process has an exit status
		require.Contains(t, run(t, "LESSON=crashes,HOW=by the system", "-test.run=TestCrashing",
			"-test.paniconexit0"), "The system ended the program in the middle of the\n"+
			"        exercise")
	}
}

func TestRun_GoesOnBehindACrash(t *testing.T) {
	out := run(t, "LESSON=crashes,"+lesson.RunAll+"=1", "-test.run=^Test(Lesson1|Crashing|Last)$",
		"-test.paniconexit0")
	require.Contains(t, out, "--- FAIL: TestCrashing")
	require.Equal(t, 1, strings.Count(out, "--- PASS: TestLesson1"), out)
	require.Contains(t, out, "--- PASS: TestLast")

	out = run(t, "LESSON=crashes", "-test.skip=_|Lesson|TestCrash$", "-test.paniconexit0")
	require.Contains(t, out, "first: 5 crash\n--- SKIP: TestLast")
}

func TestRun_CleansUpAtCtrlC(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("here a process can't send Ctrl-C to one other process")
	}
	folder := t.TempDir()

	out := run(t, "LESSON=is interrupted,TMPDIR="+folder, "-test.run=TestInterrupted",
		"-test.paniconexit0")

	require.Empty(t, strings.TrimSpace(out), "it's no failure of an exercise")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestAbort_EndsTheProcess(t *testing.T) {
	require.Equal(t, `    lesson_test.go: It can't be stopped.

        the program printed:
          …

        read on: docs/0.md#6-abort
        edit:    internal/main.go
--- FAIL: TestAborting (0.00s)
`, run(t, "LESSON=aborts", "-test.run=TestAborting", "-test.paniconexit0"))
}

func TestAgainUnderRace(t *testing.T) {
	skipUnderRace(t)
	out := run(t, "LESSON=races", "-test.run=TestRacing")
	said := strings.Join(strings.Fields(out), " ") // lines are wrapped
	if strings.Contains(said, "Only the race detector can check") {
		t.Skip(out)
	}
	require.Equal(t, `    lesson_test.go: Everything else passed, but the race detector
        found a data race.

        Two goroutines used the same memory without synchronizing, and at least
        one of them wrote to it. The result is unpredictable. Such memory needs
        a lock, an atomic value, or one goroutine that owns it.

        read on: docs/0.md#6-race
        edit:    internal/main.go
--- FAIL: TestRacing (0.00s)
`, out)
	require.Contains(t, run(t, "LESSON=races,TCP_STEPS_WITHOUT_RACE=1", "-test.run=TestRacing"),
		"--- PASS: TestRacing")
	require.Equal(t, `    lesson_test.go: The exercise passed, but a second run under the
        race detector failed. Everything takes longer there, and goroutines run
        in another order.

        It said: it took too long, and this is said in a sentence that is longer
        than a line of this terminal has room for

        read on: docs/0.md#7-be-quick
        edit:    internal/main.go
--- FAIL: TestSlow (0.00s)
`, run(t, "LESSON=is slow", "-test.run=TestSlow"))
}

func TestAgainUnderRace_SkipsWhereThereIsNone(t *testing.T) {
	skipUnderRace(t)
	out := run(t, "LESSON=races,PATH=", "-test.run=TestRacing")
	require.Contains(t, out,
		"Everything passes so far. Only the race detector\n        can check the rest")
	require.Contains(t, out, "--- SKIP: TestRacing")
	require.NotContains(t, run(t, "LESSON=races,CGO_ENABLED=1,CC=no-such-compiler",
		"-test.run=TestRacing"), "go said: #")
}

// With a setting that it refuses, the race detector ends each program at its
// start, as it does where it can't have the addresses that it needs.
func TestAgainUnderRace_SkipsWhereItDoesNotStart(t *testing.T) {
	skipUnderRace(t)
	out := run(t, "LESSON=races,GORACE=io_sync=99", "-test.run=TestRacing")
	if strings.Contains(out, "be built here") {
		t.Skip(out)
	}
	require.Contains(t, strings.Join(strings.Fields(out), " "),
		"Only the race detector can check the rest, but a program that's built for it doesn't "+
			"start here")
	require.Contains(t, out, "ThreadSanitizer")
	require.Contains(t, out, "--- SKIP: TestRacing")
}

func skipUnderRace(t *testing.T) {
	t.Helper()
	if lesson.RaceDetector {
		t.Skip("AgainUnderRace does nothing here")
	}
}

func TestRun_PassesOnTheRest(t *testing.T) {
	out := run(t, "", "-test.run=TestLesson", "-test.paniconexit0")
	require.Contains(t, out, "--- PASS: TestLesson1")
	require.Contains(t, out, failure)
}

func TestCrash(t *testing.T) {
	const trace = "\n\ngoroutine 7 [running]:\nmain.main()\n\t/home/x/other.go:1 +0x1\n" +
		"example.com/tcp-steps/step1-server.process(...)\n\tC:/x/step1-server/main.go:31 +0x45\n"
	require.Equal(t, " at main.go:31: EOF", lesson.Crash("before\npanic: EOF"+trace))
	require.Equal(t, " at main.go:31: EOF", lesson.Crash("> panic: EOF"+trace), "behind a prompt")
	require.Equal(t, " at main.go:31: fatal error: concurrent map writes",
		lesson.Crash("fatal error: concurrent map writes"+trace))
	require.Equal(t, ": EOF", lesson.Crash("panic: EOF\n\ngoroutine 1 [running]:\nmain.main()\n"))
	require.Equal(t, " at my-server.go:9: EOF", lesson.Crash("panic: EOF\n\n"+
		"goroutine 1 [running]:\nmain.main()\n"+
		"\t/x y/step3-concurrency/cmd/server/my-server.go:9 +0x45\n"), "in a program")
	require.Empty(t, lesson.Crash("panic: is only a word here"))
	require.Equal(t, "before\npanic: EOF\n", lesson.WithoutTraces("before\npanic: EOF"+trace))
	require.Equal(t, "panic: is only a word here",
		lesson.WithoutTraces("panic: is only a word here"))
}

func TestShowOutput_LeavesOutTheMiddle(t *testing.T) {
	require.Contains(t, run(t, "", "-test.run=TestLesson3"), `
        the program printed:
          1
          2\x00\xff
          世界
          4
          555555555555555555555555555555555555555555…5555555555555555555555err
          6
          … 1000 more lines …
          8
          9
`)
}

func TestErrorf_KeepsAFailureWithoutMessage(t *testing.T) {
	require.Contains(t, run(t, "", "-test.run=TestLesson3"), "Not equal")
}
