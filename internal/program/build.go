package program

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"example.com/tcp-steps/internal/lesson"
)

// A Built is a learner's program that [T.Build] has built.
type Built struct {
	t    *T
	file string
}

// built holds the folder for what this process has built, and the patterns that
// it has built already, such as "./cmd/...".
var built struct {
	sync.Mutex
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
func (t *T) Build(folder string) *Built {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("This exercise builds a program, but the go command isn't available here: %v.", err)
	}
	if built.dir == "" {
		dir, err := lesson.TempDir()
		if err != nil {
			t.Fatalf("The test can't make a folder for the program: %v.", err)
		}
		built.dir = dir
	}
	if all := "./" + path.Dir(folder) + "/..."; !slices.Contains(built.patterns, all) {
		built.patterns = append(built.patterns, all)
		rememberSources()
		build(all) // what doesn't compile tells only the exercise that needs it
	}
	file := filepath.Join(built.dir, path.Base(folder))
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	if _, err := os.Stat(file); err != nil {
		if out, err := build(folder); err != nil {
			t.Fatalf("%s doesn't compile:\n\n%s", strings.TrimLeft(folder, "./"),
				indent(strings.TrimSpace(string(out))))
		}
	}
	return &Built{t, file}
}

// build builds the programs that a pattern matches into built.dir, and returns
// what go printed. The caller holds built.
func build(pattern string) ([]byte, error) {
	// With -buildvcs=false, a damaged .git folder does no harm.
	args := []string{"build", "-buildvcs=false", "-ldflags=-w", "-o",
		built.dir + string(filepath.Separator)}
	if lesson.RaceDetector {
		args = append(args, "-race")
	}
	return exec.Command("go", append(args, pattern)...).CombinedOutput()
}

// Start runs the program with the given arguments, in its turn on port 20000.
// It returns as soon as the process has started.
func (b *Built) Start(args ...string) *Program {
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
