package program

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"example.com/tcp-steps/internal/lesson"
)

// A Built is a program of the learner's in another package than that of the test.
type Built struct{ file string }

// Build builds the program in the given folder, with what it imports from the other
// folders, and fails the exercise if it does not compile. Where there is no go command, it
// skips the exercise.
func Build(e *lesson.Exercise, folder string, others ...string) *Built {
	e.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		e.Skipf("this exercise builds a program, and the go command is not available here: %v", err)
	}
	// go test remembers a verdict as long as the files that the test has read are the same, and does
	// not know what go build reads.
	for _, folder := range append(others, folder) {
		files, _ := filepath.Glob(filepath.Join(folder, "*.go"))
		for _, file := range files {
			os.ReadFile(file)
		}
	}
	b := &Built{filepath.Join(e.TempDir(), filepath.Base(folder)+".exe")}
	out, err := exec.Command("go", "build", "-o", b.file, folder).CombinedOutput()
	if err != nil {
		e.Fatalf("%s does not compile: %s", strings.TrimLeft(folder, "./"), strings.TrimSpace(string(out)))
	}
	return b
}

// Start runs the program as the function [Start] does.
func (b *Built) Start(e *lesson.Exercise, args ...string) *Program {
	e.Helper()
	return start(e, b.file, args)
}
