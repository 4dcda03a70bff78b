package course

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var load = flag.Bool("load", false, "put the solutions under load, and report what they take")

// The solutions hold under load: thousands of clients, hostile clients, too few
// file descriptors, a shutdown in the middle of it. The checks are in
// testdata/load, and report what they measure:
//
//	go test ./internal/course -run Load -load -v
func TestLoad(t *testing.T) {
	if !*load {
		t.Skip("only with -load: its figures mean something only on a quiet machine")
	}
	if runtime.GOOS != "linux" {
		t.Skip("what a process takes is read from /proc")
	}
	for _, s := range steps(t) {
		checks := filepath.Join("testdata", "load", s.name)
		if _, err := os.Stat(checks); err != nil {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			dir := lay(t, s)
			solve(t, s, dir)
			walk(t, checks, func(file string) {
				write(t, filepath.Join(dir, filepath.Base(file)), read(t, file))
			})
			out, err := command(dir, "test", "-count=1", "-v", "-run=^TestLoad",
				".").CombinedOutput()
			for line := range strings.Lines(string(out)) {
				if strings.HasPrefix(line, "    ") {
					t.Log(strings.TrimSpace(line))
				}
			}
			require.NoErrorf(t, err, "%s", out)
		})
	}
}
