package course

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"example.com/tcp-steps/internal/lesson"
	"github.com/stretchr/testify/require"
	"gotest.tools/gotestsum/testjson"
)

// root is the workspace's top folder.
const root = "../.."

// A step is one of the learner's folders.
type step struct {
	name      string // its folder: "step1-server"
	exercises []exercise
}

// An exercise is a test that calls lesson.Start.
type exercise struct {
	test    string // "Test03_EchoesEveryMessage"
	number  int
	file    string // of the test, from the workspace's top folder
	section string // "docs/1-server.md#3-echo-every-message"
	again   bool   // it runs again under the race detector
}

var exerciseName = regexp.MustCompile(`^Test(\d\d)_([A-Z]\w*)$`)

// steps returns the steps with their exercises, by number.
func steps(t testing.TB) []step {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(root, "step*"))
	require.NoError(t, err)
	var steps []step
	for _, folder := range folders {
		s := step{name: filepath.Base(folder)}
		walk(t, folder, func(path string) {
			if strings.HasSuffix(path, "_test.go") {
				s.exercises = append(s.exercises, exercisesIn(t, path)...)
			}
		})
		slices.SortFunc(s.exercises, func(a, b exercise) int { return a.number - b.number })
		if len(s.exercises) > 0 {
			steps = append(steps, s)
		}
	}
	require.NotEmpty(t, steps)
	return steps
}

func exercisesIn(t testing.TB, path string) []exercise {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	name, err := filepath.Rel(root, path)
	require.NoError(t, err)
	var exercises []exercise
	for _, decl := range file.Decls {
		test, ok := decl.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(test.Name.Name, "Test") || test.Name.Name == "TestMain" {
			continue
		}
		parts := exerciseName.FindStringSubmatch(test.Name.Name)
		require.NotNilf(t, parts, "%s: the name of %s is not of the form Test03_EchoesEveryMessage",
			name, test.Name.Name)
		number, err := strconv.Atoi(parts[1])
		require.NoError(t, err)
		exercises = append(exercises, exercise{test.Name.Name, number, filepath.ToSlash(name),
			sectionOf(t, test), runsAgain(test)})
	}
	return exercises
}

// sectionOf returns the section that the test's first line passes to
// lesson.Start.
func sectionOf(t testing.TB, test *ast.FuncDecl) string {
	t.Helper()
	section := ""
	ast.Inspect(test.Body.List[0], func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) >= 2 {
			f, isSelector := call.Fun.(*ast.SelectorExpr)
			arg, isLiteral := call.Args[1].(*ast.BasicLit)
			if isSelector && isLiteral && f.Sel.Name == "Start" {
				section, _ = strconv.Unquote(arg.Value)
			}
		}
		return true
	})
	require.NotEmptyf(t, section, "the first line of %s is not a call of lesson.Start",
		test.Name.Name)
	return section
}

// only returns a regular expression for the names of the exercises.
func only(exercises []exercise) string {
	var names []string
	for _, e := range exercises {
		names = append(names, e.test)
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// runsAgain reports whether the test calls AgainUnderRace.
func runsAgain(test *ast.FuncDecl) bool {
	again := false
	ast.Inspect(test.Body, func(n ast.Node) bool {
		f, ok := n.(*ast.SelectorExpr)
		again = again || ok && f.Sel.Name == "AgainUnderRace"
		return true
	})
	return again
}

// testFiles returns the names of the step's test files.
func testFiles(t testing.TB, s step) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, s.name, "*_test.go"))
	require.NoError(t, err)
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return files
}

// lay copies a step and the kit to a new folder, laid out as in the workspace,
// and returns the step's folder there.
func lay(t testing.TB, s step) string {
	t.Helper()
	return layIn(t, t.TempDir(), s)
}

func layIn(t testing.TB, dir string, s step) string {
	t.Helper()
	require.NoError(t, os.CopyFS(filepath.Join(dir, s.name), os.DirFS(filepath.Join(root, s.name))))
	for _, kit := range []string{"lesson", "wire", "program"} {
		from := os.DirFS(filepath.Join(root, "internal", kit))
		require.NoError(t, os.CopyFS(filepath.Join(dir, "internal", kit), from))
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		write(t, filepath.Join(dir, "internal", file), read(t, filepath.Join(root, "internal",
			file)))
	}
	return filepath.Join(dir, s.name)
}

// solve puts the step's solution over its starter.
func solve(t testing.TB, s step, dir string) {
	t.Helper()
	overlay(t, filepath.Join(root, "solutions", s.name), dir)
}

// overlay copies the files of a folder over the files in dir. An import of a
// package of the step's solution becomes an import of the step's own package.
func overlay(t testing.TB, from, dir string) {
	t.Helper()
	walk(t, from, func(path string) {
		rel, err := filepath.Rel(from, path)
		require.NoError(t, err)
		write(t, filepath.Join(dir, rel), strings.ReplaceAll(read(t, path),
			"example.com/tcp-steps/solutions/", "example.com/tcp-steps/"))
	})
}

func walk(t testing.TB, folder string, visit func(path string)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry,
		err error) error {
		if err == nil && !entry.IsDir() {
			visit(path)
		}
		return err
	}))
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
}

// command returns a go command for a step that [lay] copied, outside any
// workspace.
func command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", trimmed())
	return cmd
}

// trimmed is an environment variable that makes go reuse what it compiled in
// another folder, and leave out what only a debugger needs.
func trimmed() string { return "GOFLAGS=" + os.Getenv("GOFLAGS") + " -trimpath -ldflags=-s" }

// A verdict is what go test said.
type verdict struct {
	results map[string]result // by the test's name
	output  string            // all of it, as text
}

type result struct {
	action string // "pass", "fail", "skip"
	output string
}

// everything makes an exercise run even if an earlier one is red.
const everything = lesson.RunAll + "=1"

// test runs the tests of a step that [lay] copied, with the given environment
// variables.
func test(t testing.TB, dir string, env ...string) verdict {
	t.Helper()
	return testOnly(t, dir, "", env...)
}

// testOnly runs only the tests whose names match the regular expression which.
func testOnly(t testing.TB, dir, which string, env ...string) verdict {
	t.Helper()
	compiled.Do(func() { compile(t) })
	args := []string{"test", "-json", "-count=1", "-timeout=5m", "-vet=off", "-run=" + which,
		"./..."}
	return run(t, command(dir, args...), env...)
}

// compiled makes compile run once. It compiles what all steps need, with and
// without the race detector. Otherwise, on a new machine, many tests at a time
// would each compile all of it and exceed their time limits.
var compiled sync.Once

func compile(t testing.TB) {
	t.Helper()
	s := step{name: "step3-concurrency"}
	dir := lay(t, s)
	solve(t, s, dir)
	for _, race := range []string{"-race=false", "-race"} {
		// This fails on a machine without a race detector.
		command(dir, "test", race, "-vet=off", "-run=^$", "./...").Run()
	}
}

// hasRaceDetector reports whether go can build a program with the race detector
// here. On most systems that takes a C compiler.
var hasRaceDetector = sync.OnceValue(func() bool {
	dir := filepath.Join(root, "internal", "program", "testdata", "hello")
	return command(dir, "build", "-race", "-o", os.DevNull, ".").Run() == nil
})

// needRaceDetector skips a proof that needs the race detector if there's none.
func needRaceDetector(t *testing.T) {
	t.Helper()
	if !hasRaceDetector() {
		t.Skip("only the race detector can tell. It needs a C compiler, such as gcc, and cgo")
	}
}

// run runs a command, with the given environment variables, that prints what
// test2json prints.
func run(t testing.TB, cmd *exec.Cmd, env ...string) verdict {
	t.Helper()
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if _, isExit := err.(*exec.ExitError); err != nil && !isExit {
		require.NoError(t, err)
	}
	v := verdict{results: map[string]result{}}
	_, err = testjson.ScanTestOutput(testjson.ScanConfig{
		Stdout:                   bytes.NewReader(out),
		Handler:                  &v,
		IgnoreNonJSONOutputLines: true, // go build's own words
	})
	require.NoError(t, err)
	return v
}

// Event adds an event of go test to the verdict. gotestsum calls it.
func (v *verdict) Event(e testjson.TestEvent, _ *testjson.Execution) error {
	v.output += e.Output
	if e.Test == "" {
		return nil
	}
	r := v.results[e.Test]
	r.output += e.Output
	switch e.Action {
	case testjson.ActionPass, testjson.ActionFail, testjson.ActionSkip:
		r.action = string(e.Action)
	}
	v.results[e.Test] = r
	return nil
}

// Err adds a line of standard error to the verdict. gotestsum calls it.
func (v *verdict) Err(text string) error {
	v.output += text + "\n"
	return nil
}

// words returns text with each run of white space as one blank, so that a
// search finds a message however it's wrapped.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

var progressLine = regexp.MustCompile(`^ {8}\d+ of \d+ done, next: \d+ `)

// checkRed requires that an exercise failed in words of its own, with its
// section at the end.
func checkRed(t testing.TB, e exercise, r result) {
	t.Helper()
	require.Equalf(t, "fail", r.action, "%s: %s is not red:\n%s", e.file, e.test, r.output)
	message, rest, found := strings.Cut(r.output, "\n        read on: "+e.section+"\n")
	if line, after, _ := strings.Cut(rest, "\n"); strings.HasPrefix(line, "        edit:    step") {
		rest = after
	}
	if line, after, _ := strings.Cut(rest, "\n"); progressLine.MatchString(line) {
		rest = after
	}
	require.Truef(t, found && strings.HasPrefix(rest, "--- FAIL"),
		"%s: %s does not end with %q:\n%s", e.file, e.test, e.section, r.output)
	require.Regexpf(t, `(?m)^    (    |\w+_test\.go:\d+: )\S.{4}`, message,
		"%s: %s does not say what happened:\n%s", e.file, e.test, r.output)
	require.NotContainsf(t, r.output, "Error Trace:",
		"%s: %s fails with testify's words instead of its own", e.file, e.test)
	for line := range strings.Lines(message) {
		require.LessOrEqualf(t, len([]rune(line)), 81, "%s: %s has a line that is too long: %s",
			e.file, e.test, line)
	}
}
