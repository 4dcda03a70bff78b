package lesson_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"example.com/tcp-steps/internal/lesson"
	"github.com/stretchr/testify/require"
)

// The exercises of a little lesson, whose second one fails. They run in a process
// of their own, where LESSON is set, and are no tests of this package.
func exercise(t *testing.T, section string, do func(e *lesson.Exercise)) {
	if os.Getenv("LESSON") != "" {
		do(lesson.Start(t, section))
	}
}

func TestLesson1(t *testing.T) {
	exercise(t, "docs/0.md#1-begin", func(e *lesson.Exercise) {})
}

func TestLesson2(t *testing.T) {
	exercise(t, "docs/0.md#2-fail-with-words", func(e *lesson.Exercise) {
		require.Equalf(e, 1, 2, "what the program did is said in a sentence that is so long that it does not fit into "+
			"%s, and it keeps its  blanks", "one line")
	})
}

func TestLesson3(t *testing.T) {
	exercise(t, "docs/0.md#3-go-on", func(e *lesson.Exercise) {
		lesson.ShowOutput(e.T, "1\n2\x00\xff\n世界\n4\n5\n6\r\n"+strings.Repeat("between\n", 1000)+"8\n9\n\n")
		require.Equal(e, 1, 2)
	})
}

func run(t *testing.T, env string, args ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], append(args, "-test.v")...)
	cmd.Env = append(os.Environ(), "LESSON=1", env)
	out, _ := cmd.CombinedOutput()
	var lines []string // those of the exercises
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "    ") {
			lines = append(lines, strings.TrimRight(line, " \n"))
		}
	}
	return lineNumber.ReplaceAllString(strings.Join(lines, "\n")+"\n", "lesson_test.go")
}

var lineNumber = regexp.MustCompile(`lesson_test\.go:\d+`)

const failure = `    lesson_test.go: what the program did is said in a sentence that is so long that it does not
        fit into one line, and it keeps its  blanks

        read on: docs/0.md#2-fail-with-words
--- FAIL: TestLesson2 (0.00s)
`

func TestStart_SkipsWhatStandsOnARedExercise(t *testing.T) {
	require.Equal(t, "--- PASS: TestLesson1 (0.00s)\n"+failure+
		"    lesson_test.go: first: 2 fail with words\n--- SKIP: TestLesson3 (0.00s)\n",
		run(t, "", "-test.skip=Test[^L]"))
}

func TestStart_RunsWhatWasChosen(t *testing.T) {
	require.Contains(t, run(t, "", "-test.run=TestLesson"), "--- FAIL: TestLesson3")
	require.Contains(t, run(t, lesson.RunAll+"=1", "-test.skip=Test[^L]"), "--- FAIL: TestLesson3")
}

func TestStart_ForgetsWhatHasTurnedGreen(t *testing.T) {
	out := run(t, "", "-test.skip=Test[^L]", "-test.count=2")
	require.Equal(t, 2, strings.Count(out, failure), out)
	require.Equal(t, 2, strings.Count(out, "--- PASS: TestLesson1"), out)
}

func TestShowOutput_LeavesOutTheMiddle(t *testing.T) {
	require.Contains(t, run(t, "", "-test.run=TestLesson3"), `
        the program printed:
          1
          2\x00\xff
          世界
          4
          5
          6
          … 1000 lines more …
          8
          9
`)
}

func TestErrorf_KeepsAFailureWithoutMessage(t *testing.T) {
	require.Contains(t, run(t, "", "-test.run=TestLesson3"), "Not equal")
}
