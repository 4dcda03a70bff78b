package course

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program"
	"github.com/stretchr/testify/require"
)

// Each starter compiles, and every exercise in it is red, in its own words.
func TestStarters(t *testing.T) {
	for _, s := range steps(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			dir := lay(t, s)
			vet(t, dir)
			v := test(t, dir, everything)
			require.NotContains(t, v.output, "panic:")
			for _, e := range s.exercises {
				checkRed(t, e, v.results[e.test])
			}
		})
	}
}

// What a learner sees first: one red exercise, and the others wait for it.
func TestStarters_ShowOneRedExercise(t *testing.T) {
	for _, s := range steps(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			v := test(t, lay(t, s), "")
			for i, e := range s.exercises {
				if i == 0 {
					checkRed(t, e, v.results[e.test])
					continue
				}
				require.Equalf(t, "skip", v.results[e.test].action, "%s: %s", e.file, e.test)
				require.Contains(t, v.results[e.test].output, "first: 1 ")
			}
		})
	}
}

// A forgotten server that holds the port is named at once.
func TestStarters_SayThatThePortIsInUse(t *testing.T) {
	program.Listen(&lesson.Exercise{T: t}) // the forgotten server, in our turn
	for _, s := range steps(t) {
		dir := lay(t, s)
		test(t, dir, "", "-run=^$") // compiles
		begin := time.Now()
		v := test(t, dir, program.HasTurn+"=1")
		require.Less(t, time.Since(begin), 10*time.Second)
		first := s.exercises[0]
		checkRed(t, first, v.results[first.test])
		require.Contains(t, words(v.results[first.test].output), "127.0.0.1:20000 is in use: is your server still running in another terminal?")
	}
}

// Each exercise is named by a TODO of the starter.
func TestStarters_NameEachExercise(t *testing.T) {
	for _, s := range steps(t) {
		starter := ""
		walk(t, filepath.Join(root, s.name), func(path string) {
			if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				starter += read(t, path)
			}
		})
		for _, e := range s.exercises {
			todo := fmt.Sprintf("TODO exercise %d: %s\n", e.number, headings(t, e)[e.section])
			require.Containsf(t, starter, todo, "%s: the starter has no %q", s.name, todo)
		}
	}
}

// Each solution is green under its step's own tests.
func TestSolutions(t *testing.T) {
	for _, s := range steps(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			dir := lay(t, s)
			solve(t, s, dir)
			vet(t, dir)
			requireGreen(t, s, test(t, dir, everything))
		})
	}
}

// Work that keeps the contract is green, however it is built.
func TestRightWork(t *testing.T) {
	for _, s := range steps(t) {
		folders, err := os.ReadDir(filepath.Join("testdata", "right", s.name))
		require.NoError(t, err)
		require.GreaterOrEqualf(t, len(folders), 2, "internal/course/testdata/right/%s has too few ways to do it", s.name)
		for _, folder := range folders {
			t.Run(s.name+"/"+folder.Name(), func(t *testing.T) {
				t.Parallel()
				dir := lay(t, s)
				copyTree(t, filepath.Join("testdata", "right", s.name, folder.Name()), dir)
				vet(t, dir)
				requireGreen(t, s, test(t, dir, everything))
			})
		}
	}
}

func requireGreen(t *testing.T, s step, v verdict) {
	t.Helper()
	for _, e := range s.exercises {
		require.Equalf(t, "pass", v.results[e.test].action, "%s: %s is not green:\n%s", e.file, e.test, v.output)
	}
	require.Lenf(t, v.results, len(s.exercises), "there are tests that are no exercises:\n%s", v.output)
}

func vet(t *testing.T, dir string) {
	t.Helper()
	out, err := command(dir, "vet", "./...").CombinedOutput()
	require.NoErrorf(t, err, "%s: %s", filepath.Base(dir), out)
}
