// Package lesson turns a test into an exercise: one of a numbered row, each
// building on the ones before it. An exercise that fails says what the
// learner's program did, why that's wrong, where to read on and which file to
// edit.
//
// An exercise is a test whose first line calls [Start]. It has one or more
// scenarios, which wire.Test and program.Test run.
//
//	func Test03_EchoesEveryMessage(t *testing.T) {
//		e := lesson.Start(t, "docs/1-server.md#3-echo-every-message",
//			"main.go")
//		wire.Test(e, "a client that sends three messages", func(t *wire.T) {
//			...
//			require.Equalf(t, want, got, `
//				What happened, in one or two sentences.
//
//				Why that's wrong.`)
//		})
//	}
//
// The exercises of a package run one after the other, in the order of the
// files' names and of the functions in each file.
package lesson

import (
	"fmt"
	"strings"
	"testing"
)

// An Exercise is the t of an exercise, or of one of its scenarios. It's a
// *testing.T whose failures are messages for the learner: see
// [Exercise.Errorf].
type Exercise struct {
	*testing.T
	scenario string // in front of what happened; "" for none
}

// Start begins the exercise that a section of a chapter describes:
// "docs/1-server.md#3-echo-every-message" is exercise 3. edit is the file that
// the learner edits, relative to the step's folder: "main.go".
//
// Start skips the exercise while an earlier one of the package is red, unless
// -run chose the tests or [RunAll] is set. When the exercise fails, its last
// lines say where to read on, which file to edit, and how many exercises of
// the step are done.
func Start(t *testing.T, section, edit string) *Exercise {
	t.Helper()
	this, err := parsePlace(section, edit)
	if err != nil {
		t.Fatal(err)
	}
	if earlier, ok := firstRed(this.number); ok && !runsRegardless() {
		t.Skipf("first: %s", earlier)
	}
	watch()
	current.begin(t.Name(), this)
	t.Cleanup(func() {
		current.clear()
		setRed(this, t.Failed())
		if t.Failed() {
			fmt.Fprintf(t.Output(), "\n%s", this.directions())
		}
	})
	return &Exercise{T: t}
}

// SkipWhileRed is the first line of a test that isn't an exercise, such as a
// fuzz test. It skips the test while an exercise of the package is red.
func SkipWhileRed(t testing.TB) {
	t.Helper()
	if len(red) > 0 {
		t.Skip("first: the exercises")
	}
	watch()
	current.begin(t.Name(), place{})
	t.Cleanup(current.clear)
}

// In returns e with the t of a test within the exercise, such as a synctest
// bubble's.
func (e *Exercise) In(t *testing.T) *Exercise {
	return &Exercise{t, e.scenario}
}

// Scenario returns e for one situation of the exercise. Each failure begins
// with the scenario's name, a phrase that says what's going on: "a client that
// never reads".
func (e *Exercise) Scenario(name string) *Exercise {
	current.scenario(name)
	return &Exercise{e.T, name}
}

// Errorf reports a failure: the scenario's name, then the message. It keeps
// only the message of a testify failure, if the test gave one, and drops the
// file, the test's name and both values.
//
// The message may be a raw string, indented like the code around it. Errorf
// wraps its paragraphs anew. Lines that are indented further stay as they are.
func (e *Exercise) Errorf(format string, args ...any) {
	e.Helper()
	e.T.Errorf("%s", e.sentence(fmt.Sprintf(format, args...)))
}

// Fatalf is Errorf, then FailNow.
func (e *Exercise) Fatalf(format string, args ...any) {
	e.Helper()
	e.Errorf(format, args...)
	e.FailNow()
}

// SkipForNow skips the exercise because of the machine's present state. The
// reason may be gone next time, so SkipForNow keeps go test from caching the
// verdict.
func (e *Exercise) SkipForNow(format string, args ...any) {
	e.Helper()
	doNotCache()
	e.Skip(e.sentence(fmt.Sprintf(format, args...)))
}

// sentence is what Errorf prints.
func (e *Exercise) sentence(text string) string {
	message, ok := messageOf(text)
	if !ok {
		return text
	}
	if e.scenario == "" {
		return wrap(message, firstWidth)
	}
	return wrap(upperFirst(e.scenario)+":", firstWidth) + "\n" + wrap(message, width)
}

func upperFirst(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
