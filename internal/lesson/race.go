package lesson

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// WithoutRace is an environment variable. If it isn't empty,
// [Exercise.AgainUnderRace] does nothing.
const WithoutRace = "TCP_STEPS_WITHOUT_RACE"

// AgainUnderRace runs the exercise once more, in a process built with the race
// detector, and fails the exercise if that run fails or has a data race. Call
// it last in an exercise, after everything else has passed. Most systems need a
// C compiler for the race detector. Where it isn't available, AgainUnderRace
// skips the exercise and says why.
//
// AgainUnderRace does nothing if the tests already run under the race detector.
func (e *Exercise) AgainUnderRace() {
	e.Helper()
	if RaceDetector || os.Getenv(WithoutRace) != "" {
		return
	}
	file, err := raceBinary(e)
	if err != nil {
		e.Skip(wrap("Everything passes so far. Only the race detector can check the rest, but "+
			err.Error()+".", firstWidth))
	}
	limit, stop := e.untilLimit()
	defer stop()
	ctx, cancel := context.WithTimeout(limit, raceTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, "-test.run=^"+e.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), supervised+"=", RaceOptions())
	out, err := cmd.CombinedOutput()
	text := string(out)
	switch race := DataRace(text); {
	case err == nil:
	case race != "":
		e.Fatalf("Everything else passed, but %s", race)
	case ctx.Err() != nil:
		e.SkipForNow(`
			Everything passes so far. Only the race detector can check the rest, but a second
			run under it didn't end in time. Everything takes longer there. Run the tests again,
			if possible while this machine does little else.`)
	default:
		e.Fatalf(`
			The exercise passed, but a second run under the race detector failed. Everything
			takes longer there, and goroutines run in another order.

			It said: %s`, firstMessage(text))
	}
}

// DataRace looks for the race detector's report in text, what a program
// printed. It returns the words for a failure's message: "the race detector
// found a data race, at server.go:31.", and why that's wrong. It returns "" if
// there's no report.
func DataRace(text string) string {
	race := firstRace(text)
	if race == "" {
		return ""
	}
	return "the race detector found a data race" + learnersLines(race) + ".\n\n" +
		"Two goroutines used the same memory without synchronizing, and at least one of them " +
		"wrote to it. The result is unpredictable. Such memory needs a lock, an atomic value, " +
		"or one goroutine that owns it."
}

const raceTimeout = time.Minute

// untilLimit returns a context for the work that the race detector adds. It
// ends before go test's time limit, half a minute or a third of the remaining
// time, so that the exercises have the rest.
func (e *Exercise) untilLimit() (context.Context, context.CancelFunc) {
	deadline, ok := e.Deadline()
	if !ok {
		return context.WithCancel(context.Background())
	}
	reserve := min(30*time.Second, time.Until(deadline)/3)
	return context.WithDeadline(context.Background(), deadline.Add(-reserve))
}

// RaceOptions returns the environment variable "GORACE=…" for a process that
// may run under the race detector. Without it, such a process sleeps for a
// second before it exits.
func RaceOptions() string { return "GORACE=" + os.Getenv("GORACE") + " atexit_sleep_ms=0" }

// raceBinary returns the package's own tests, built with the race detector. It
// builds them once for all exercises.
func raceBinary(e *Exercise) (string, error) {
	race.once.Do(func() { race.file, race.err = buildForRace(e) })
	return race.file, race.err
}

var race struct {
	once sync.Once
	file string
	err  error
}

func buildForRace(e *Exercise) (string, error) {
	dir, err := TempDir()
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "race.test.exe")
	ctx, cancel := e.untilLimit()
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-race", "-vet=off", "-ldflags=-w", "-c", "-o",
		file, ".")
	// After an interrupt, go test cleans up. Not every system has interrupts.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return file, tryStart(file)
	case ctx.Err() != nil: // go keeps what it has compiled by now
		doNotCache()
		return "", errors.New("compiling for it took too long this time. " +
			"Run the tests again: the next build is faster")
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("the go command isn't available here")
	}
	doNotCache() // a compiler may be there next time
	return "", fmt.Errorf("it can't be built here. On most systems it needs cgo (CGO_ENABLED=1) "+
		"and a C compiler, such as gcc or clang. Here go said: %s", firstLine(string(out)))
}

// tryStart runs file, a test binary built with the race detector, without any
// test. The detector can't have the addresses that it needs on every system.
func tryStart(file string) error {
	cmd := exec.Command(file, "-test.run=^$")
	cmd.Env = append(os.Environ(), supervised+"=", RaceOptions())
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	doNotCache()
	return fmt.Errorf("a program that's built for it doesn't start here (%w). It said: %s", err,
		firstLine(string(out)))
}

// firstLine returns the first line of text, or "". It passes over the go
// command's headings, such as "# runtime/cgo" and "=== RUN".
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "# ") && !strings.HasPrefix(line, "=== ") {
			return line
		}
	}
	return ""
}

// firstRace returns the race detector's first report in text, or "".
func firstRace(text string) string {
	const rule = "=================="
	_, report, _ := strings.Cut(text, "WARNING: DATA RACE")
	report, _, _ = strings.Cut(report, rule)
	// What the two goroutines did says more than where they were started.
	report, _, _ = strings.Cut(report, "\nGoroutine ")
	return wrapper.ReplaceAllString(report, "")
}

// wrapper matches a function that the compiler made of a go statement. It isn't
// where the memory is used.
var wrapper = regexp.MustCompile(`(?m)^ *\S*gowrap\d+\(\)\n.*\n`)

var messageStart = regexp.MustCompile(`(?m)^    \w+_test\.go:\d+: `)

// firstMessage returns, as one line, the first failure's message in what go
// test printed, or how the process crashed.
func firstMessage(text string) string {
	start := messageStart.FindStringIndex(text)
	if start == nil {
		if crash := Crash(text); crash != "" {
			return "the program crashed" + crash
		}
		return firstLine(text)
	}
	message := text[start[1]:]
	end := len(message)
	for i, line := range strings.SplitAfter(message, "\n") {
		if i == 0 {
			end = len(line)
			continue
		}
		if !strings.HasPrefix(line, "        ") || strings.TrimSpace(line) == "" {
			break
		}
		end += len(line)
	}
	return strings.Join(strings.Fields(message[:end]), " ")
}
