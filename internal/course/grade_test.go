package course

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A grade is fair, whatever the learner handed in. It counts the exercises that
// ran and passed, and reports them by an exit status and a JUnit file.
func TestGrade(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("grading takes half a minute")
	}
	for _, tool := range []string{"bash", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there's no %s", tool)
		}
	}
	const step, main = "step2-client", "main.go"
	for name, learner := range map[string]struct {
		change func(t *testing.T, folder string)
		status int
		says   string
	}{
		"the solution": {nil, 0, "step2-client: 7 of 7 exercises pass"},
		"it ends the process": {func(t *testing.T, folder string) {
			replace(t, filepath.Join(folder, main), "\t\tinputInfo := strings.Trim",
				"\t\tos.Exit(3)\n\t\tinputInfo := strings.Trim")
		}, 1, "step2-client: 2 of 7 exercises pass"},
		"it prints verdicts": {func(t *testing.T, folder string) {
			replace(t, filepath.Join(folder, main), `"127.0.0.1:20000"`, `"127.0.0.1:20002"`)
			write(t, filepath.Join(folder, "verdicts.go"), `package main

import (
	"fmt"
	"os"
)

func init() {
	if len(os.Args) > 1 { // in the tests
		fmt.Println("--- PASS: Test01_DialsPort20000 (0.00s)")
		fmt.Println("--- PASS: Test01_Mine (0.00s)")
	}
}
`)
		}, 1, "step2-client: 0 of 7 exercises pass"},
		"it doesn't compile": {func(t *testing.T, folder string) {
			replace(t, filepath.Join(folder, main), "func main() {", "func main() {\n\tundefined()")
		}, 1, "step2-client: 0 of 7 exercises pass"},
		"a test was changed": {func(t *testing.T, folder string) {
			write(t, filepath.Join(folder, "main_test.go"), "package main\n")
		}, 0, "step2-client: 7 of 7 exercises pass"},
		"a workspace of its own": {func(t *testing.T, folder string) {
			write(t, filepath.Join(folder, "go.work"), "go 1.25.0\n\nuse .\n")
		}, 0, "step2-client: 7 of 7 exercises pass"},
		"a file is embedded": {func(t *testing.T, folder string) {
			write(t, filepath.Join(folder, "address.txt"), "127.0.0.1:20000")
			replace(t, filepath.Join(folder, main), `"127.0.0.1:20000"`, "address")
			write(t, filepath.Join(folder, "address.go"),
				"package main\n\nimport _ \"embed\"\n\n"+
					"//go:embed address.txt\nvar address string\n")
		}, 0, "step2-client: 7 of 7 exercises pass"},
		"the step is missing": {func(t *testing.T, folder string) {
			require.NoError(t, os.RemoveAll(folder))
		}, 2, "has no folder step2-client"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := lay(t, step2(t))
			solve(t, step2(t), folder)
			if learner.change != nil {
				learner.change(t, folder)
			}
			cmd := exec.Command("bash", gradeScript(t), filepath.Dir(folder), step)
			cmd.Dir = t.TempDir()
			// The proof's other commands don't vet either: with an empty
			// cache a vet takes long.
			cmd.Env = append(os.Environ(), "GOWORK=", "GOFLAGS="+os.Getenv("GOFLAGS")+" -vet=off")
			write(t, filepath.Join(cmd.Dir, "junit-"+step+".xml"), "the file of another learner")
			out, _ := cmd.CombinedOutput()
			require.Equalf(t, learner.status, cmd.ProcessState.ExitCode(), "%s", out)
			require.Containsf(t, string(out), learner.says, "%s", out)
			junit, err := os.ReadFile(filepath.Join(cmd.Dir, "junit-"+step+".xml"))
			require.Equal(t, learner.status < 2, err == nil,
				"there's a JUnit file where there's a grade")
			require.NotContains(t, string(junit), "another learner")
		})
	}
}

func step2(t *testing.T) step {
	t.Helper()
	for _, s := range steps(t) {
		if s.name == "step2-client" {
			return s
		}
	}
	t.Fatal("there's no step2-client")
	return step{}
}

func gradeScript(t *testing.T) string {
	t.Helper()
	script, err := filepath.Abs(filepath.Join(root, ".ci", "grade"))
	require.NoError(t, err)
	return script
}

// replace replaces text in a file, which must contain it.
func replace(t *testing.T, file, old, new string) {
	t.Helper()
	text := read(t, file)
	require.Contains(t, text, old)
	write(t, file, strings.Replace(text, old, new, 1))
}
