// Package lesson makes a test an exercise: one of a numbered row, each of which
// stands on the ones before it and says, when it fails, what the learner's
// program did and where to read on.
//
// An exercise is a test whose first line calls [Start]:
//
//	func Test03_EchoesEveryMessage(t *testing.T) {
//		e := lesson.Start(t, "docs/1-server.md#3-echo-every-message")
//		...
//		require.Equalf(e, want, got, "what was observed, and why that is wrong")
//	}
//
// The exercises of a package run one after the other, in the order of the file.
package lesson

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// RunAll is the environment variable that, when it is set to anything but the
// empty string, makes every exercise run, whether the ones before it pass or not.
const RunAll = "TCP_STEPS_ALL"

// An Exercise is the t of one exercise. It is a *testing.T but for its Errorf,
// which keeps a failure of testify down to the message that the test gave.
type Exercise struct {
	*testing.T
}

// red holds, by number, the exercises of this package that failed.
var red = map[int]string{}

var numbered = regexp.MustCompile(`#(\d+)-(.+)$`)

// Start begins the exercise that the given section of a chapter describes:
// "docs/1-server.md#3-echo-every-message" is exercise 3.
//
// It skips the exercise while an earlier one of the package is red, unless the
// tests were chosen with -run or [RunAll] is set. When the exercise fails, its
// last lines say where to read on, and how many exercises of the package are done.
func Start(t *testing.T, section string) *Exercise {
	t.Helper()
	number, name, ok := parse(section)
	if !ok {
		t.Fatalf("%q is not a numbered section of a chapter", section)
	}
	if !runsRegardless() {
		for earlier := 1; earlier < number; earlier++ {
			if name, isRed := red[earlier]; isRed {
				t.Skipf("first: %d %s", earlier, name)
			}
		}
	}
	current.begin(t, section)
	t.Cleanup(func() {
		current.clear()
		if !t.Failed() {
			delete(red, number)
			return
		}
		red[number] = name
		fmt.Fprintf(t.Output(), "\n    read on: %s\n%s", section, progress(section))
	})
	return &Exercise{t}
}

var exerciseTest = regexp.MustCompile(`(?m)^func Test(\d\d)_`)

// progress says how many exercises of the package come before the one of the given section, which is the
// next to be done. It returns "" where exercises run regardless of those before them, and where the
// package's source is not at hand.
func progress(section string) string {
	number, name, _ := parse(section)
	files, _ := filepath.Glob("*_test.go")
	done, all := 0, 0
	for _, file := range files {
		source, _ := os.ReadFile(file)
		for _, test := range exerciseTest.FindAllSubmatch(source, -1) {
			all++
			if n, _ := strconv.Atoi(string(test[1])); n < number {
				done++
			}
		}
	}
	if all == 0 || runsRegardless() {
		return ""
	}
	return fmt.Sprintf("    %d of %d done, next: %d %s\n", done, all, number, name)
}

// SkipWhileRed skips a test that is no exercise, such as a fuzz test, while an exercise
// of the package is red: what it would find has been said already.
func SkipWhileRed(t testing.TB) {
	t.Helper()
	if len(red) > 0 {
		t.Skip("first: the exercises")
	}
}

// parse takes "docs/1-server.md#3-echo-every-message" apart: 3, "echo every message".
func parse(section string) (number int, name string, ok bool) {
	parts := numbered.FindStringSubmatch(section)
	if parts == nil {
		return 0, "", false
	}
	number, err := strconv.Atoi(parts[1])
	return number, strings.ReplaceAll(parts[2], "-", " "), err == nil
}

func runsRegardless() bool {
	return os.Getenv(RunAll) != "" || flag.Lookup("test.run").Value.String() != ""
}

// In returns e for a function that runs in a test of its own, as the one in a
// synctest bubble does.
func (e *Exercise) In(t *testing.T) *Exercise {
	return &Exercise{t}
}

// Errorf reports a failure. Of a failure of testify, which also names the file
// a second time, the test, and both values with their difference, it leaves the
// message, where the test gave one.
func (e *Exercise) Errorf(format string, args ...any) {
	e.Helper()
	e.T.Errorf("%s", wrap(messageOf(fmt.Sprintf(format, args...))))
}

// Fatalf is Errorf, then FailNow.
func (e *Exercise) Fatalf(format string, args ...any) {
	e.Helper()
	e.Errorf(format, args...)
	e.FailNow()
}

// messageOf returns what stands behind "Messages:" in a failure of testify, and
// any other text unchanged.
func messageOf(text string) string {
	const label = "\n\tMessages:"
	if !strings.HasPrefix(text, "\n\tError Trace:") {
		return text
	}
	_, message, found := strings.Cut(text, label)
	if !found {
		return text
	}
	var lines []string
	for line := range strings.Lines(message) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// width is where wrap ends a line, in runes, not counting what go test puts before it: the
// name of the file and the line, or eight blanks.
const width = 78

// wrap breaks the paragraphs of text into lines of at most width runes.
func wrap(text string) string {
	var out strings.Builder
	column := 0
	for i, paragraph := range strings.Split(text, "\n") {
		if i > 0 {
			out.WriteByte('\n')
			column = 0
		}
		for _, word := range strings.Split(paragraph, " ") {
			length := len([]rune(word))
			switch {
			case column == 0:
			case column+1+length > width:
				out.WriteByte('\n')
				column = 0
			default:
				out.WriteByte(' ')
				column++
			}
			out.WriteString(word)
			column += length
		}
	}
	return out.String()
}
