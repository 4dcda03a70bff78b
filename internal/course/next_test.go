package course

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The programs of the last page pass their tests, with the race detector if
// there is one.
func TestNext(t *testing.T) {
	t.Parallel()
	compiled.Do(func() { compile(t) })
	dir := filepath.Join(root, "solutions")
	race := "-race"
	if command(dir, "build", "-race", "-o", os.DevNull, "./next/unix").Run() != nil {
		race = "-race=false"
	}
	v := run(t, command(dir, "test", "-json", "-count=1", "-timeout=2m", "-vet=off", race,
		"./next/..."))
	require.NotEmpty(t, v.results, v.output)
	for name, r := range v.results {
		require.Equalf(t, "pass", r.action, "solutions/next: %s is not green:\n%s", name, v.output)
	}
}
