package program

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"example.com/tcp-steps/internal/lesson"
)

// A Built is a learner's program that [T.Build] has built.
type Built struct {
	t    *T
	file string
}

// builds holds the files of the programs that this process has built, by their
// folders.
var builds struct {
	sync.Mutex
	files map[string]string
}

// Build builds the program in a folder, such as "./cmd/server", with the race
// detector if the tests have it. The folder is relative to the tests' folder. A
// second Build of the same folder reuses the first.
//
// Build fails the exercise if the program doesn't compile, and skips it if the
// go command isn't available.
func (t *T) Build(folder string) *Built {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if file := builds.files[folder]; file != "" {
		return &Built{t, file}
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("This exercise builds a program, but the go command isn't available here: %v.", err)
	}
	rememberSources()
	dir, err := lesson.TempDir()
	if err != nil {
		t.Fatalf("The test can't make a folder for the program: %v.", err)
	}
	file := filepath.Join(dir, filepath.Base(folder)+".exe")
	// With -buildvcs=false, a damaged .git folder does no harm.
	args := []string{"build", "-buildvcs=false", "-ldflags=-w", "-o", file}
	if lesson.RaceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, folder)...).CombinedOutput(); err != nil {
		t.Fatalf("%s doesn't compile:\n\n%s", strings.TrimLeft(folder, "./"),
			indent(strings.TrimSpace(string(out))))
	}
	if builds.files == nil {
		builds.files = map[string]string{}
	}
	builds.files[folder] = file
	return &Built{t, file}
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
