package course

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/template"

	"example.com/tcp-steps/internal/lesson"
	"github.com/stretchr/testify/require"
)

// A trial is a test binary with several variants of a step in it, because
// linking a binary takes longer than running the exercises. Its package lies in
// a copy of the step, above a folder for each variant: the step with that
// variant, and the step's tests as ordinary files. The package's own tests call
// the tests of the variant that the environment variable [chosen] names. The
// variants of a trial use the same port, so they take turns.
type trial struct {
	name string // "step3-concurrency-7"
	step step
	// prepare changes the copy of the step before the variants are made. It
	// may solve the step, for example.
	prepare  func(t testing.TB, s step, dir string)
	variants []variant
	tests    []string // the test files that the variants need
	// The trial uses this port, such as 20010, and the next one, instead of
	// 20000 and 19999. So trials don't wait for each other. A trial always gets
	// the same port: with another one, go would compile all of it anew.
	port     int
	dir      string            // a new folder, for the step
	binaries map[string]string // by the flag that they're built with
}

// The first ports of the trials, which take two each, and those of a forgotten
// server.
const (
	mistakePorts  = 20010
	hintPorts     = 21010
	rightPorts    = 22010
	forgottenPort = 23010
)

// A variant is a step's work in a certain form.
type variant interface {
	// id returns the variant's name, which is also its folder's.
	id() string
	// make makes the variant in dir, which has the step as the trial prepared
	// it.
	make(t *testing.T, dir string)
}

// chosen is the environment variable that names the variant that a trial's
// tests call.
const chosen = "TCP_STEPS_VARIANT"

// judge runs, with the variant, the tests whose names match the regular
// expression which. Without a second run under the race detector, an exercise
// takes half the time and says the same.
func (tr *trial) judge(t *testing.T, v variant, which string, env ...string) verdict {
	t.Helper()
	return tr.run(t, v, "-race=false", which, append(env, lesson.WithoutRace+"=1")...)
}

// judgeUnderRace is judge under the race detector.
func (tr *trial) judgeUnderRace(t *testing.T, v variant, which string) verdict {
	t.Helper()
	return tr.run(t, v, "-race", which, lesson.RaceOptions())
}

// run runs tests of the variant in the binary that the flag builds.
func (tr *trial) run(t *testing.T, v variant, race, which string, env ...string) verdict {
	t.Helper()
	file := tr.binary(t, race)
	tests := command(filepath.Join(filepath.Dir(file), v.id()))
	tests.Path, tests.Args = file, []string{file, "-test.v=test2json", "-test.paniconexit0",
		"-test.timeout=5m", "-test.run=" + which}
	tests.Env = append(append(tests.Env, env...), everything, chosen+"="+v.id())
	out, _ := tests.CombinedOutput() // its exit status tells no more
	// test2json only converts. If it ran the tests, they would ignore Ctrl-C.
	toJSON := exec.Command(test2json())
	toJSON.Stdin = strings.NewReader(string(out) + "\x16FAIL\n") // the last line of go test
	said := run(t, toJSON)
	port := fmt.Sprint(":", tr.port)
	said.output = strings.ReplaceAll(said.output, port, ":20000")
	for name, r := range said.results {
		r.output = strings.ReplaceAll(r.output, port, ":20000")
		said.results[name] = r
	}
	return said
}

// test2json returns the file of Go's tool, which go may have to compile first.
var test2json = sync.OnceValue(func() string {
	file, _ := exec.Command("go", "tool", "-n", "test2json").Output()
	return strings.TrimSpace(string(file))
})

// binary returns the trial's test binary, built with the flag -race or
// -race=false. It builds one at the first call.
func (tr *trial) binary(t *testing.T, race string) string {
	t.Helper()
	compiled.Do(func() { compile(t) })
	if tr.binaries == nil {
		tr.lay(t)
		tr.binaries = map[string]string{}
	}
	if tr.binaries[race] == "" {
		dir := filepath.Join(tr.dir, tr.step.name)
		file := filepath.Join(dir, "trial"+race+".test.exe")
		// Without inlining and what a debugger needs, the tests compile faster.
		// The learner's packages compile as ever.
		tests := "-gcflags=example.com/tcp-steps/" + tr.step.name + "/.../tests=-l -dwarf=false"
		build := command(dir, "test", "-c", race, "-vet=off", tests, "-ldflags=-s -w", "-o", file,
			".")
		build.Env = append(build.Env, "GOGC=off") // compilers that collect nothing are faster
		out, err := build.CombinedOutput()
		require.NoErrorf(t, err, "%s", out)
		tr.binaries[race] = file
	}
	return tr.binaries[race]
}

// lay makes the trial's package and its variants.
func (tr *trial) lay(t *testing.T) {
	t.Helper()
	dir := layIn(t, tr.dir, tr.step)
	tr.prepare(t, tr.step, dir)
	sources, tests := tr.take(t, dir)
	module := "example.com/tcp-steps/" + tr.step.name
	c := newCutter(t, tests)
	for _, v := range tr.variants {
		place := filepath.Join(dir, v.id())
		for name, text := range sources {
			write(t, filepath.Join(place, filepath.FromSlash(name)), text)
		}
		v.make(t, place)
		kept := tests
		if m, ok := v.(mistake); ok {
			kept = c.cut(regexp.MustCompile(only(tr.exercisesFor(m))).MatchString)
		}
		for name, text := range kept {
			writeTest(t, place, name, text)
		}
		walk(t, place, func(file string) {
			text := read(t, file)
			for _, end := range []string{"/", `"`} { // the longer one first: its result has no `"`
				text = strings.ReplaceAll(text, `"`+module+end, `"`+module+"/"+v.id()+end)
			}
			write(t, file, text)
		})
		makeImportable(t, place)
	}
	write(t, filepath.Join(dir, "trial_test.go"), tr.testsOf(t, module, tests))
	usePort(t, tr.port, dir, filepath.Join(dir, "../internal/program"))
}

// usePort makes the files in the folders use the port instead of 20000, and the
// next one instead of 19999.
func usePort(t *testing.T, port int, folders ...string) {
	t.Helper()
	ports := strings.NewReplacer(
		":20000", fmt.Sprint(":", port),
		"Port: 20000", fmt.Sprint("Port: ", port), // of a net.TCPAddr
		":19999", fmt.Sprint(":", port+1))
	for _, folder := range folders {
		walk(t, folder, func(file string) { write(t, file, ports.Replace(read(t, file))) })
	}
}

// take removes the Go files from dir, a step's folder. It returns the sources
// and the tests that the trial needs, by their place in the step.
func (tr *trial) take(t *testing.T, dir string) (sources, tests map[string]string) {
	t.Helper()
	sources, tests = goFiles(t, dir), map[string]string{}
	for name, text := range sources {
		if strings.HasSuffix(name, "_test.go") {
			delete(sources, name)
			if tr.needs(name, text) {
				tests[name] = text
			}
		}
		require.NoError(t, os.Remove(filepath.Join(dir, filepath.FromSlash(name))))
	}
	return sources, tests
}

// goFiles returns the Go files below a step's folder, by their place in the
// step.
func goFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	walk(t, dir, func(file string) {
		if strings.HasSuffix(file, ".go") {
			name, err := filepath.Rel(dir, file)
			require.NoError(t, err)
			files[filepath.ToSlash(name)] = read(t, file)
		}
	})
	return files
}

var anyExercise = regexp.MustCompile(`(?m)^func (Test\d\d_|Fuzz|Benchmark)`)

// needs reports whether the trial needs a test file. It needs all files that
// have only helpers.
func (tr *trial) needs(name, text string) bool {
	return !anyExercise.MatchString(text) || slices.Contains(tr.tests, name)
}

// writeTest writes a test file so that another package can import it. A file of
// an external test package goes into a package of its own, any other file
// beside the sources. For the compiler, each line stays where it was.
func writeTest(t *testing.T, place, name, text string) {
	t.Helper()
	external := externalClause.MatchString(text)
	text = "//line " + name + ":1\n" + externalClause.ReplaceAllString(text, "package tests")
	if external {
		place = filepath.Join(place, "tests")
	}
	write(t, filepath.Join(place, strings.TrimSuffix(name, "_test.go")+"_tests.go"), text)
}

var externalClause = regexp.MustCompile(`(?m)^package \w+_test$`)

var mainClause = regexp.MustCompile(`(?m)^package main$`)

// makeImportable renames a step's package main, so that another package can
// import it.
func makeImportable(t *testing.T, place string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(place, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		write(t, file, mainClause.ReplaceAllString(read(t, file), "package program"))
	}
}

// testsOf returns the source of the package's own tests. Each calls the same
// test of the chosen variant.
func (tr *trial) testsOf(t *testing.T, module string, tests map[string]string) string {
	t.Helper()
	data := struct {
		Chosen   string
		Variants []struct{ ID, Folder string }
		Tests    []struct{ Head, Name, Parameter string }
	}{Chosen: chosen}
	folder := ""
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		text := tests[name]
		if externalClause.MatchString(text) {
			folder = "/tests"
		}
		for _, test := range testFunction.FindAllStringSubmatch(text, -1) {
			data.Tests = append(data.Tests, struct{ Head, Name, Parameter string }{test[0], test[1],
				test[2]})
		}
	}
	for _, v := range tr.variants {
		data.Variants = append(data.Variants, struct{ ID, Folder string }{v.id(), module + "/" +
			v.id() + folder})
	}
	var out strings.Builder
	require.NoError(t, trialTests.Execute(&out, data))
	return out.String()
}

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\((\w+) \*testing\.\w\)`)

var trialTests = template.Must(template.New("").Parse(`package trial

import (
	"os"
	"testing"
{{range $i, $v := .Variants}}
	v{{$i}} {{printf "%q" $v.Folder}}
{{- end}}
)
{{range $test := .Tests}}
{{$test.Head}} {
	switch os.Getenv({{printf "%q" $.Chosen}}) {
	{{- range $i, $v := $.Variants}}
	case {{printf "%q" $v.ID}}:
		v{{$i}}.{{$test.Name}}({{$test.Parameter}})
	{{- end}}
	}
}
{{end}}`))
