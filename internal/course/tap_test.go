package course

import (
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program"
	"github.com/stretchr/testify/require"
)

// A page's picture of the tap is what the tap draws. A comment before the block
// says how, in four parts: the tap's flags, the server, the client, and the
// typed lines. With "&" between them, the test types lines in quick succession,
// with ";" one by one.
//
// The test isn't parallel, because other tests of this process use port 20000.
func TestTap(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits until connections are quiet")
	}
	if runtime.GOOS != "linux" {
		t.Skip("one system is enough: the tap has its own tests")
	}
	dir := t.TempDir() // for the programs
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			parts := strings.Split(strings.TrimPrefix(b.comment, "tap: "), " | ")
			if len(parts) != 4 {
				continue
			}
			t.Run(parts[1]+" "+parts[0], func(t *testing.T) {
				// On a new machine, building takes too long for a turn.
				for _, line := range []string{"internal/tap", parts[1], parts[2]} {
					folder, _, _ := strings.Cut(line, " ")
					buildInto(t, dir, folder)
				}
				// On a real network, pieces aren't fixed. It may take a few
				// tries until the page's pieces come.
				program.TakeTurn(&lesson.Exercise{T: t})
				for try := 1; ; try++ {
					drawn := tapDraws(t, dir, parts[0], parts[1], parts[2], parts[3])
					if strings.Contains(pauseless(drawn), pauseless(b.text)) {
						return
					}
					require.Lessf(t, try, 5, "%s:%d: the tap draws this now:\n%s", p.name, b.line,
						drawn)
				}
			})
		}
	}
}

var pauseLine = regexp.MustCompile(`(?m)^.* after [\d.]+ (s|min) .*\n`)

func pauseless(picture string) string { return pauseLine.ReplaceAllString(picture, "") }

// buildInto builds the program in a folder of the course into dir.
func buildInto(t *testing.T, dir, folder string) {
	t.Helper()
	out, err := command(filepath.Join(root, folder), "build", "-o", binary(dir, folder), ".").
		CombinedOutput()
	require.NoErrorf(t, err, "%s: %s", folder, out)
}

// binary returns the file that buildInto makes.
func binary(dir, folder string) string {
	return filepath.Join(dir, strings.ReplaceAll(folder, "/", "-"))
}

// tapDraws runs the programs, which are in dir, types the lines, and returns
// what the tap draws.
func tapDraws(t *testing.T, dir, flags, server, client, typed string) string {
	t.Helper()
	var ends []func()
	defer func() {
		for _, end := range ends {
			end()
		}
	}()
	run := func(name string, args ...string) (io.Writer, *output) {
		cmd, out := exec.Command(binary(dir, name), args...), &output{}
		cmd.Stdout, cmd.Stderr = out, out
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		ends = append(ends, func() { cmd.Process.Kill(); cmd.Wait() })
		return in, out
	}
	name, args, _ := strings.Cut(server, " ")
	run(name, strings.Fields(args)...)
	addr := program.Addr
	if len(args) > 0 {
		addr = args[strings.LastIndex(args, " ")+1:]
	}
	require.Eventually(t, func() bool { return program.Reaches(addr) }, time.Minute,
		20*time.Millisecond)

	// A person takes a while between two lines, the test doesn't.
	_, picture := run("internal/tap", strings.Fields(strings.ReplaceAll(flags, "-glue 2s",
		"-glue 300ms"))...)
	require.Eventually(t, func() bool { return strings.Contains(picture.String(), "listens") },
		time.Minute, 20*time.Millisecond)
	name, args, _ = strings.Cut(client, " ")
	keyboard, _ := run(name, strings.Fields(args)...)
	for line := range strings.SplitSeq(typed, "; ") {
		for part := range strings.SplitSeq(line, " & ") {
			io.WriteString(keyboard, part+"\n")
			time.Sleep(50 * time.Millisecond)
		}
		for before := ""; before != picture.String(); time.Sleep(500 * time.Millisecond) {
			before = picture.String()
		}
	}
	return picture.String()
}

// An output is what a program has printed so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
