package program

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"example.com/tcp-steps/internal/lesson"
)

// A Binary is a learner's program that [T.Build] has built.
type Binary struct {
	t    *T
	file string
}

// built holds the folder for what this process has built, and the patterns that
// it has built already, such as "./cmd/...".
var built struct {
	dir      string
	patterns []string
}

// Build builds the program in a folder, such as "./cmd/server", with the race
// detector if the tests have it. The folder is relative to the tests' folder.
// The first Build also builds the programs beside that one: all at once take
// less time than one after the other.
//
// Build fails the exercise if the program doesn't compile, and skips it if the
// go command isn't available.
func (t *T) Build(folder string) *Binary {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("This exercise builds a program, but the go command isn't available here: %v.", err)
	}
	if err := buildAll("./" + path.Dir(folder) + "/..."); err != nil {
		t.Fatalf("The test can't make a folder for the program: %v.", err)
	}
	file := filepath.Join(built.dir, path.Base(folder))
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	if _, err := os.Stat(file); err != nil {
		if out, err := build(folder).CombinedOutput(); err != nil {
			t.Fatalf("%s doesn't compile:\n\n%s", path.Clean(folder),
				indent(strings.TrimSpace(string(out))))
		}
	}
	return &Binary{t, file}
}

// buildAll builds the programs that a pattern matches, unless it has done so.
// What doesn't compile tells only the exercise that needs it.
func buildAll(pattern string) error {
	if slices.Contains(built.patterns, pattern) {
		return nil
	}
	if built.dir == "" {
		dir, err := lesson.TempDir()
		if err != nil {
			return err
		}
		built.dir = dir
	}
	if err := limitMemory(strings.TrimSuffix(pattern, "/...")); err != nil {
		return err
	}
	built.patterns = append(built.patterns, pattern)
	rememberSources()
	build(pattern).Run()
	return nil
}

// build returns the command that builds the programs that a pattern matches
// into built.dir.
func build(pattern string) *exec.Cmd {
	// With -buildvcs=false, a damaged .git folder does no harm.
	args := []string{"build", "-buildvcs=false", "-ldflags=-w", "-overlay", overlay(), "-o",
		built.dir}
	if lesson.RaceDetector {
		args = append(args, "-race")
	}
	return exec.Command("go", append(args, pattern)...)
}

// limitMemory writes the overlay for the programs in the folders of a folder.
// With it, each of them has one more file, which limits its memory. That file
// imports a package by a name that no learner uses: the name belongs to the
// whole package.
func limitMemory(folder string) error {
	file := filepath.Join(built.dir, "limit.go")
	const source = `package main

import tcpStepsLimit "example.com/tcp-steps/internal/program/limit"

func init() { tcpStepsLimit.Start() }
`
	if err := os.WriteFile(file, []byte(source), 0o666); err != nil {
		return err
	}
	added := map[string]string{} // file in the learner's folder → file on disk
	mains, err := filepath.Glob(filepath.Join(folder, "*", "*.go"))
	if err != nil {
		return err
	}
	for _, main := range mains {
		clause, err := parser.ParseFile(token.NewFileSet(), main, nil, parser.PackageClauseOnly)
		if err != nil || clause.Name.Name != "main" {
			continue // a package of the learner's own; if it doesn't compile, go build says so
		}
		place, err := filepath.Abs(filepath.Join(filepath.Dir(main), "limit_memory.go"))
		if err != nil {
			return err
		}
		added[place] = file
	}
	text, err := json.Marshal(map[string]any{"Replace": added})
	if err != nil {
		return err
	}
	return os.WriteFile(overlay(), text, 0o666)
}

// overlay returns the name of the overlay for go build.
func overlay() string { return filepath.Join(built.dir, "overlay.json") }

// Start runs the program with the given arguments, in its turn on port 20000.
// It returns as soon as the process has started.
func (b *Binary) Start(args ...string) *Program {
	b.t.Helper()
	return b.t.start(b.file, args)
}

// rememberSources opens the step's source files. The go command caches a
// verdict as long as the files that the tests opened don't change. It doesn't
// know which files go build reads.
func rememberSources() {
	for _, pattern := range []string{"*.go", "*/*.go", "*/*/*.go"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			os.ReadFile(file)
		}
	}
}

// indent puts a blank before each line of text, so that a message doesn't wrap
// it.
func indent(text string) string {
	return " " + strings.ReplaceAll(text, "\n", "\n ")
}
