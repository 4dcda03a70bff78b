package program

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"example.com/tcp-steps/internal/lesson"
)

// A Built is a program of the learner's that go build made.
type Built struct {
	t    *T
	file string
}

// builds holds the files of the programs that were built in this process, by
// their folders.
var builds struct {
	sync.Mutex
	files map[string]string
}

// Build builds the program in the given folder, relative to the tests'
// ("./cmd/server"), with the race detector if the tests have it. It fails the
// exercise if the program doesn't compile, and skips it where there's no go
// command. Built once, the program serves all exercises of the run.
func (t *T) Build(folder string) *Built {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if file := builds.files[folder]; file != "" {
		return &Built{t, file}
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("This exercise builds a program, and the go command isn't available here: %v.", err)
	}
	rememberSources()
	dir, err := lesson.TempDir()
	if err != nil {
		t.Fatalf("The program can't be built: %v.", err)
	}
	file := filepath.Join(dir, filepath.Base(folder)+".exe")
	// Without -buildvcs=false a damaged .git folder would be the program's
	// fault.
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

// Start runs the program in its turn on port 20000. It doesn't wait for
// anything that it does.
func (b *Built) Start(args ...string) *Program {
	b.t.Helper()
	return b.t.start(b.file, args)
}

// rememberSources opens the step's source files. The go command remembers a
// verdict as long as the files that the tests opened are the same, and doesn't
// know what go build reads.
func rememberSources() {
	for _, pattern := range []string{"*.go", "*/*.go", "*/*/*.go"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			os.ReadFile(file)
		}
	}
}

// indent has each line of text begin with a blank, so that a message keeps it.
func indent(text string) string {
	return " " + strings.ReplaceAll(text, "\n", "\n ")
}
