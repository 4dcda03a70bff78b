package course

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
	for _, s := range stepsUnderLoad(t) {
		t.Run(s.name, func(t *testing.T) {
			out, err := command(layLoad(t, s), "test", "-count=1", "-v", ".").CombinedOutput()
			for line := range strings.Lines(string(out)) {
				if strings.HasPrefix(line, "    ") {
					t.Log(strings.TrimSpace(line))
				}
			}
			require.NoErrorf(t, err, "%s", out)
		})
	}
}

// TestLoad runs on demand, so this test finds checks that no longer compile.
func TestLoad_Compiles(t *testing.T) {
	for _, s := range stepsUnderLoad(t) {
		out, err := command(layLoad(t, s), "test", "-vet=off", "-c", "-o", os.DevNull,
			".").CombinedOutput()
		require.NoErrorf(t, err, "%s", out)
	}
}

// loadChecks is the folder with the checks of TestLoad. The files directly in
// it belong to each step.
var loadChecks = filepath.Join("testdata", "load")

// stepsUnderLoad returns the steps that have checks in [loadChecks].
func stepsUnderLoad(t *testing.T) []step {
	t.Helper()
	found := slices.DeleteFunc(steps(t), func(s step) bool {
		_, err := os.Stat(filepath.Join(loadChecks, s.name))
		return err != nil
	})
	require.NotEmpty(t, found)
	return found
}

// layLoad copies a step with its solution, and the step's checks into a folder
// beside them. It returns that folder.
func layLoad(t *testing.T, s step) string {
	t.Helper()
	dir := lay(t, s)
	solve(t, s, dir)
	folder := filepath.Join(dir, "load")
	for _, from := range []string{"*.go", filepath.Join(s.name, "*.go")} {
		files, err := filepath.Glob(filepath.Join(loadChecks, from))
		require.NoError(t, err)
		for _, file := range files {
			write(t, filepath.Join(folder, filepath.Base(file)), read(t, file))
		}
	}
	return folder
}
