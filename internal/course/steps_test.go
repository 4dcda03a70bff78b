package course

import (
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"example.com/tcp-steps/internal/lesson"
	"github.com/stretchr/testify/require"
)

// Each starter compiles, and every exercise in it is red, in its own words.
func TestStarters(t *testing.T) {
	t.Parallel()
	for _, s := range steps(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			dir := lay(t, s)
			v := test(t, dir, everything)
			require.NotContains(t, v.output, "panic:")
			for _, e := range s.exercises {
				checkRed(t, e, v.results[e.test])
			}
		})
	}
}

// A learner first sees that the step's first exercise is red. The others wait
// for it.
func TestStarters_ShowOneRedExercise(t *testing.T) {
	t.Parallel()
	for _, s := range steps(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			v := test(t, lay(t, s))
			first := s.exercises[0]
			checkRed(t, first, v.results[first.test])
			require.Contains(t, v.results[first.test].output,
				fmt.Sprintf("\n        0 of %d done, next: 1 ", len(s.exercises)))
			require.Contains(t, v.results[first.test].output, "\n        edit:    "+s.name+"/")
			for _, e := range s.exercises[1:] {
				require.Equalf(t, "skip", v.results[e.test].action, "%s: %s", e.file, e.test)
				require.Contains(t, v.results[e.test].output, "first: 1 ")
			}
			require.LessOrEqual(t, strings.Count(v.results[first.test].output, "\n"), 24)
		})
	}
}

// An exercise says at once that a forgotten server holds the port. The steps
// use another port here, so that no other test has to wait for its turn.
func TestStarters_SayThatThePortIsInUse(t *testing.T) {
	t.Parallel()
	addr := fmt.Sprint("127.0.0.1:", forgottenPort)
	forgotten, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { forgotten.Close() })
	for _, s := range steps(t) {
		if !startsPrograms(t, s) {
			continue
		}
		dir := lay(t, s)
		usePort(t, forgottenPort, dir, filepath.Join(dir, "../internal/program"))
		v := test(t, dir, everything)
		named := 0
		for _, e := range s.exercises {
			r := v.results[e.test]
			if strings.Contains(words(r.output),
				addr+" is in use: is your server still running in another terminal?") {
				checkRed(t, e, r)
				named++
			}
		}
		require.NotZerof(t, named, "%s: no exercise says that the port is in use:\n%s", s.name,
			v.output)
	}
}

// startsPrograms reports whether a test of the step runs the learner's program
// as a process.
func startsPrograms(t *testing.T, s step) bool {
	t.Helper()
	for _, e := range s.exercises {
		if strings.Contains(read(t, filepath.Join(root, filepath.FromSlash(e.file))),
			"program.Test(") {
			return true
		}
	}
	return false
}

// A TODO in the starter names each exercise.
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

// In steps 1 and 2 the tests are in the learner's package. A helper there could
// have the name of a learner's function.
func TestStarters_ShareTheirPackageWithTestsAlone(t *testing.T) {
	for _, name := range []string{"step1-server", "step2-client"} {
		source := read(t, filepath.Join(root, name, "main_test.go"))
		for declared := range declarations(t, source) {
			require.Truef(t, strings.HasPrefix(declared, "Test"),
				"%s/main_test.go declares %s", name, declared)
		}
	}
}

// A step gives exactly what the steps before it ended with.
func TestStarters_BeginWhereTheStepsBeforeEnd(t *testing.T) {
	for given, before := range map[string]string{
		"step3-concurrency/cmd/server/main.go": "step1-server/main.go",
		"step3-concurrency/cmd/client/main.go": "step2-client/main.go",
		"step4-framing/cmd/server/main.go":     "step3-concurrency/cmd/server/main.go",
		"step4-framing/server.go":              "step3-concurrency/server.go",
		"step4-framing/process.go":             "step3-concurrency/process.go",
		"step4-framing/cmd/client/main.go":     "step3-concurrency/cmd/client/main.go",
		"step4-framing/client.go":              "step3-concurrency/client.go",
	} {
		// A program imports its own step.
		want := strings.ReplaceAll(read(t, filepath.Join(root, "solutions", before)),
			"example.com/tcp-steps/solutions/step3-concurrency",
			"example.com/tcp-steps/step4-framing")
		require.Equalf(t, want, read(t, filepath.Join(root, given)), "%s isn't solutions/%s", given,
			before)
	}
	_, process, _ := strings.Cut(read(t, filepath.Join(root, "solutions/step1-server/main.go")),
		"func process(")
	process, _, _ = strings.Cut(process, "\nfunc main()")
	require.Contains(t, read(t, filepath.Join(root, "step4-framing/readbuffer.go")),
		"func process("+process,
		"step4-framing/readbuffer.go does not have the document's process")
}

// Each step tells AI assistants to coach, in the same words.
func TestStarters_HaveACoach(t *testing.T) {
	var first string
	for _, s := range steps(t) {
		chapter, _, _ := strings.Cut(s.exercises[0].section, "#")
		words := strings.NewReplacer(s.name, "STEP", chapter, "CHAPTER").Replace(read(t,
			filepath.Join(root, s.name, "AGENTS.md")))
		if first == "" {
			first = words
		}
		require.Equalf(t, first, words,
			"%s/AGENTS.md says something else than that of the first step", s.name)
	}
}

// Each solution is green under its step's own tests.
func TestSolutions(t *testing.T) {
	t.Parallel()
	for _, s := range steps(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			dir := lay(t, s)
			solve(t, s, dir)
			requireGreen(t, s.exercises, test(t, dir, everything))
		})
	}
}

// The frame package of the solution keeps two promises that no exercise asks
// for: about Reads that return nothing, and about short Writes.
func TestSolutions_Frame(t *testing.T) {
	t.Parallel()
	const name = "step4-framing"
	dir := lay(t, step{name: name})
	solve(t, step{name: name}, dir)
	overlay(t, filepath.Join("testdata", "solution", name), dir)
	out, err := command(dir, "test", "-count=1", "-vet=off", "./frame").CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
}

// Work that keeps the contract is green, however it's structured. So it is
// under the race detector, in the exercises that ask for that.
func TestRightWork(t *testing.T) {
	t.Parallel()
	for i, s := range steps(t) {
		tr := &trial{name: s.name, step: s, prepare: solve, variants: rightWorks(t, s),
			tests: testFiles(t, s), port: rightPorts + 2*i, dir: t.TempDir()}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, work := range tr.variants {
				t.Run(work.id(), func(t *testing.T) {
					requireGreen(t, s.exercises, tr.judge(t, work, ""))
					if again := runAgain(s); len(again) > 0 && hasRaceDetector() {
						requireGreen(t, again, tr.judgeUnderRace(t, work, only(again)))
					}
				})
			}
		})
	}
}

// runAgain returns the step's exercises that run again under the race detector.
func runAgain(s step) []exercise {
	var again []exercise
	for _, e := range s.exercises {
		if e.again {
			again = append(again, e)
		}
	}
	return again
}

// A rightWork is a folder in testdata/right/ with some of a step's files. The
// others are the solution's.
type rightWork struct{ folder string }

func (w rightWork) id() string { return filepath.Base(w.folder) }

// make makes the work in dir, which has the step's solution.
func (w rightWork) make(t *testing.T, dir string) {
	t.Helper()
	overlay(t, w.folder, dir)
}

func rightWorks(t *testing.T, s step) []variant {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join("testdata", "right", s.name, "*"))
	require.NoError(t, err)
	require.GreaterOrEqualf(t, len(folders), 2,
		"internal/course/testdata/right/%s has too few ways to do it", s.name)
	var all []variant
	for _, folder := range folders {
		all = append(all, rightWork{folder})
	}
	return all
}

// isGreen reports whether the exercise passed, or was skipped because this
// machine can't tell the rest: it has no race detector, or no Ctrl-C for
// another program.
func (r result) isGreen() bool {
	said := words(r.output)
	return r.action == "pass" || r.action == "skip" &&
		(!hasRaceDetector() && strings.Contains(said,
			"Only the race detector can check the rest") ||
			runtime.GOOS == "windows" && strings.Contains(said, "can't send Ctrl-C"))
}

// requireGreen requires that the exercises are green, and any fuzz tests that
// ran with them.
func requireGreen(t *testing.T, exercises []exercise, v verdict) {
	t.Helper()
	// A race between two exercises makes neither red.
	require.Emptyf(t, lesson.DataRace(v.output), "%s", v.output)
	isExercise := map[string]bool{}
	for _, e := range exercises {
		isExercise[e.test] = true
		require.Truef(t, v.results[e.test].isGreen(), "%s: %s isn't green:\n%s", e.file, e.test,
			v.output)
	}
	for name, result := range v.results {
		if !isExercise[name] {
			require.Truef(t, strings.HasPrefix(name, "Fuzz"), "%s is no exercise:\n%s", name,
				v.output)
			require.Equalf(t, "pass", result.action, "%s is not green:\n%s", name, v.output)
		}
	}
}
