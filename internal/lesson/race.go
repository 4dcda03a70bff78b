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

// WithoutRace is the environment variable that, when it's set to anything but
// the empty string, makes [Exercise.AgainUnderRace] do nothing.
const WithoutRace = "TCP_STEPS_WITHOUT_RACE"

// AgainUnderRace runs the exercise once more, in a process that was built with
// the race detector, and fails it if two goroutines use the same memory at the
// same time there. It comes last in an exercise, after everything else passed.
// Where the detector isn't available (it needs a C compiler on most systems),
// it skips the exercise and says why.
func (e *Exercise) AgainUnderRace() {
	e.Helper()
	if RaceDetector || os.Getenv(WithoutRace) != "" {
		return
	}
	file, err := raceBinary(e)
	if err != nil {
		e.Skip(wrap("Everything passes so far. Only the race detector could tell the rest, and "+
			err.Error()+".", firstWidth))
	}
	ctx, cancel := context.WithTimeout(context.Background(), raceTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, "-test.run=^"+e.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), supervised+"=", raceOptions())
	out, err := cmd.CombinedOutput()
	text := string(out)
	switch {
	case err == nil:
	case strings.Contains(text, "WARNING: DATA RACE"):
		e.Fatalf(`
			All answers were right, but the race detector found a data race%s.

			Two goroutines use the same memory at the same time, and at least one of them
			writes to it. The result is unpredictable: a wrong number, a torn value, a
			crash. Such memory needs a lock, an atomic value, or one goroutine that owns it.`,
			Lines(firstRace(text)))
	case ctx.Err() != nil:
		e.Fatalf("Under the race detector, where everything takes longer, the exercise didn't end.")
	default:
		e.Fatalf(`
			The exercise passed, but failed in a second run under the race detector, where
			everything takes longer.

			It said: %s`, firstMessage(text))
	}
}

const raceTimeout = time.Minute

// raceReserve is what a build with the race detector leaves of go test's time
// limit for the exercises that follow: half a minute, or a third of a short
// one.
func raceReserve(limit time.Duration) time.Duration {
	return min(30*time.Second, limit/3)
}

// raceOptions keeps a program from waiting for a second before it ends.
func raceOptions() string { return "GORACE=" + os.Getenv("GORACE") + " atexit_sleep_ms=0" }

// raceBinary builds the tests of the package in this folder, the one that is
// being tested, with the race detector, once for all its exercises.
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
	dir, err := os.MkdirTemp(os.Getenv(supervised), "race")
	if err != nil {
		return "", err
	}
	raceFolder = dir
	file := filepath.Join(dir, "race.test.exe")
	ctx := context.Background()
	if deadline, ok := e.Deadline(); ok {
		var cancel func()
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-raceReserve(time.Until(deadline))))
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-race", "-vet=off", "-ldflags=-w", "-c", "-o",
		file, ".")
	// so that it cleans up, where it can
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return file, nil
	case ctx.Err() != nil: // what is compiled by now is kept for the next time
		doNotCache()
		return "", errors.New("compiling for it takes too long the first time. " +
			"Run the tests once more: it'll take less")
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("the go command isn't available here")
	}
	doNotCache() // a compiler may be there next time
	return "", fmt.Errorf("it needs a C compiler, such as gcc or clang, and cgo (CGO_ENABLED=1). "+
		"Here, go said: %s", firstLine(string(out)))
}

// raceFolder is removed at the end of the process.
var raceFolder string

// firstLine returns the first line of text that is not a heading of the go
// command: "# runtime/cgo".
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "# ") {
			return line
		}
	}
	return ""
}

// firstRace returns the first report of the race detector in text.
func firstRace(text string) string {
	const rule = "=================="
	_, report, _ := strings.Cut(text, "WARNING: DATA RACE")
	report, _, _ = strings.Cut(report, rule)
	// Where the two goroutines were started is of less use than what they did.
	report, _, _ = strings.Cut(report, "\nGoroutine ")
	return wrapper.ReplaceAllString(report, "")
}

// wrapper matches what the compiler has made of a go statement: the memory is
// used elsewhere.
var wrapper = regexp.MustCompile(`(?m)^ *\S*gowrap\d+\(\)\n.*\n`)

var messageStart = regexp.MustCompile(`(?m)^    \w+_test\.go:\d+: `)

// firstMessage returns the first message of a failure in what go test has
// printed, as one line.
func firstMessage(text string) string {
	start := messageStart.FindStringIndex(text)
	if start == nil {
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
