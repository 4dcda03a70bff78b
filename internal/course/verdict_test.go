package course

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkVerdict measures how long a learner waits between saving a change
// and the verdict of go test. It reports the same run without any test beside
// it: the time for compiling.
func BenchmarkVerdict(b *testing.B) {
	for _, s := range steps(b) {
		for _, state := range []string{"starter", "solution"} {
			b.Run(s.name+"/"+state, func(b *testing.B) {
				dir := lay(b, s)
				if state == "solution" {
					solve(b, s, dir)
				}
				file := filepath.Join(dir, filepath.FromSlash(starter(b, s)))
				run := func(args ...string) time.Duration {
					save(b, file)
					begin := time.Now()
					// -count=1, because go test caches verdicts and the change
					// makes no other binary. -ldflags= links as a learner's
					// go test does. The verdict is red or green.
					command(dir, append([]string{"test", "-count=1", "-ldflags=", "./..."},
						args...)...).Run()
					return time.Since(begin)
				}
				run() // compiles the kit
				var verdict, compile time.Duration
				for b.Loop() {
					compile += run("-run", "^$")
					verdict += run()
				}
				n := float64(b.N)
				b.ReportMetric(verdict.Seconds()/n, "s/verdict")
				b.ReportMetric(compile.Seconds()/n, "s/compile")
				b.ReportMetric((verdict-compile).Seconds()/n, "s/tests")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// starter returns the file that a learner of the step saves first.
func starter(b *testing.B, s step) string {
	b.Helper()
	folder := path.Dir(s.exercises[0].file)
	files, err := filepath.Glob(filepath.Join(root, "solutions", folder, "*.go"))
	require.NoError(b, err)
	require.NotEmpty(b, files)
	file, err := filepath.Rel(filepath.Join(root, "solutions", s.name), files[0])
	require.NoError(b, err)
	return filepath.ToSlash(file)
}

var saves int

// save changes the file, so that the compiler must compile it again.
func save(b *testing.B, file string) {
	b.Helper()
	saves++
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(b, err)
	_, err = fmt.Fprintf(f, "\nvar _ = %d\n", saves)
	require.NoError(b, err)
	require.NoError(b, f.Close())
}
