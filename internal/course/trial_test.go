package course

import (
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path"
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

// A trial is a test binary with several mistakes in it, because linking a
// binary takes longer than running the exercises. Its package lies in a copy of
// the step, above a folder for each mistake: the step with that mistake, and
// the step's tests as ordinary files. The package's own tests call the tests of
// the mistake that the environment variable [chosen] names. The mistakes of a
// trial use the same port, so they take turns.
type trial struct {
	name  string // "step3-concurrency-7"
	step  step
	dir   string   // a step will be laid there, and solved
	tests []string // the test files that the mistakes need
	// The trial uses this port, such as 20010, instead of 20000. So trials
	// don't wait for each other.
	port     int
	mistakes []mistake
	rewrite  func(dir string) // see try
	file     string           // the test binary, when it's built
}

// chosen is the environment variable that tells a trial which mistake to make.
const chosen = "TCP_STEPS_MISTAKE"

// try returns the trials of the mistakes. If rewrite isn't nil, it may first
// change the tests in dir, a copy of a step.
func try(t *testing.T, steps []step, bank []mistake, rewrite func(dir string)) []*trial {
	t.Helper()
	// Small trials: a mistake that changes makes few others compile again.
	const many = 24
	group := func(m mistake) string { return fmt.Sprint(m.step, m.testFiles(steps)) }
	size := map[string]int{}
	byName := map[string]step{}
	for _, s := range steps {
		byName[s.name] = s
	}
	for _, m := range bank {
		require.Containsf(t, byName, m.step, "mistakes/%s: there is no %s", m.name, m.step)
		size[group(m)]++
	}
	var all []*trial
	byKey := map[string]*trial{}
	for _, m := range bank {
		// Choose by name, so that a new mistake doesn't move the others.
		part := crc32.ChecksumIEEE([]byte(m.name)) % uint32((size[group(m)]+many-1)/many)
		key := fmt.Sprint(group(m), part)
		if m.isRace() {
			key = m.name
		}
		if byKey[key] == nil {
			tr := &trial{name: fmt.Sprint(m.step, "-", len(all)+1), step: byName[m.step],
				dir: t.TempDir(), tests: m.testFiles(steps), port: 20010 + 2*len(all),
				rewrite: rewrite}
			byKey[key] = tr
			all = append(all, tr)
		}
		byKey[key].mistakes = append(byKey[key].mistakes, m)
	}
	return all
}

// testFiles returns the step's test files with the exercises that the mistake
// names.
func (m mistake) testFiles(steps []step) []string {
	var files []string
	for _, s := range steps {
		for _, e := range m.caughtBy(s) {
			if name := path.Base(e.file); !slices.Contains(files, name) {
				files = append(files, name)
			}
		}
	}
	return files
}

// judge runs, with the mistake, the exercises whose names match the regular
// expression which.
func (tr *trial) judge(t *testing.T, m mistake, which string, env ...string) verdict {
	t.Helper()
	if m.isRace() {
		return tr.judgeRace(t, m, which, env...)
	}
	if tr.file == "" {
		tr.file = tr.make(t)
	}
	tests := command(filepath.Join(filepath.Dir(tr.file), m.id()))
	tests.Path, tests.Args = tr.file, []string{tr.file, "-test.v=test2json", "-test.paniconexit0",
		"-test.timeout=5m", "-test.run=" + which}
	// Without a second run under the race detector, an exercise takes half the
	// time and says the same.
	tests.Env = append(append(tests.Env, env...), everything, chosen+"="+m.name,
		lesson.WithoutRace+"=1")
	out, _ := tests.CombinedOutput() // its exit status tells no more
	// test2json only converts. If it ran the tests, they would ignore Ctrl-C.
	toJSON := exec.Command(test2json())
	toJSON.Stdin = strings.NewReader(string(out) + "\x16FAIL\n") // the last line of go test
	v := run(t, toJSON)
	port := fmt.Sprint(":", tr.port)
	v.output = strings.ReplaceAll(v.output, port, ":20000")
	for name, r := range v.results {
		r.output = strings.ReplaceAll(r.output, port, ":20000")
		v.results[name] = r
	}
	return v
}

// judgeRace runs the exercises as a learner does, because AgainUnderRace needs
// the tests in their own package.
func (tr *trial) judgeRace(t *testing.T, m mistake, which string, env ...string) verdict {
	t.Helper()
	dir := tr.solved(t)
	m.make(t, dir)
	compiled.Do(func() { compile(t) })
	return run(t, command(dir, "test", "-json", "-count=1", "-timeout=5m", "-vet=off", "-run",
		which, "."), append(env, everything)...)
}

// solved copies the trial's step, solves it and returns its folder.
func (tr *trial) solved(t *testing.T) string {
	t.Helper()
	dir := layIn(t, tr.dir, tr.step)
	solve(t, tr.step, dir)
	if tr.rewrite != nil {
		tr.rewrite(dir)
	}
	return dir
}

// test2json returns the file of Go's tool, which go may have to compile first.
var test2json = sync.OnceValue(func() string {
	file, _ := exec.Command("go", "tool", "-n", "test2json").Output()
	return strings.TrimSpace(string(file))
})

// make makes the trial and returns its test binary.
func (tr *trial) make(t *testing.T) string {
	t.Helper()
	compiled.Do(func() { compile(t) })
	dir := tr.solved(t)
	sources, tests := map[string]string{}, map[string]string{} // by their place in the step
	walk(t, dir, func(file string) {
		name, err := filepath.Rel(dir, file)
		require.NoError(t, err)
		switch name = filepath.ToSlash(name); {
		case !strings.HasSuffix(name, ".go"):
			return
		case !strings.HasSuffix(name, "_test.go"):
			sources[name] = read(t, file)
		case tr.needs(t, name, read(t, file)):
			tests[name] = read(t, file)
		}
		require.NoError(t, os.Remove(file))
	})
	module := "example.com/tcp-steps/" + tr.step.name
	for _, m := range tr.mistakes {
		place := filepath.Join(dir, m.id())
		for name, text := range sources {
			write(t, filepath.Join(place, filepath.FromSlash(name)), text)
		}
		m.make(t, place)
		for name, text := range tests {
			writeTest(t, place, name, text)
		}
		walk(t, place, func(file string) {
			text := read(t, file)
			for _, end := range []string{"/", `"`} { // the longer one first: its result has no `"`
				text = strings.ReplaceAll(text, `"`+module+end, `"`+module+"/"+m.id()+end)
			}
			write(t, file, text)
		})
		makeImportable(t, place)
	}
	write(t, filepath.Join(dir, "trial_test.go"), tr.testsOf(t, module, tests))
	ports := strings.NewReplacer(":20000", fmt.Sprint(":", tr.port), ":19999", fmt.Sprint(":",
		tr.port+1))
	for _, folder := range []string{dir, filepath.Join(dir, "../internal/program")} {
		walk(t, folder, func(file string) { write(t, file, ports.Replace(read(t, file))) })
	}

	file := filepath.Join(dir, "trial.test.exe")
	out, err := command(dir, "test", "-c", "-vet=off", "-ldflags=-s -w", "-o", file,
		".").CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
	return file
}

var anyExercise = regexp.MustCompile(`(?m)^func (Test\d\d_|Fuzz|Benchmark)`)

// needs reports whether the trial needs a test file. It does if its mistakes
// name an exercise in the file, or if the file has helpers.
func (tr *trial) needs(t *testing.T, name, text string) bool {
	t.Helper()
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
// test of the chosen mistake.
func (tr *trial) testsOf(t *testing.T, module string, tests map[string]string) string {
	t.Helper()
	data := struct {
		Chosen   string
		Mistakes []struct{ Name, Folder string }
		Tests    []struct{ Head, Name, Parameter string }
	}{Chosen: chosen}
	folder := ""
	for _, text := range tests {
		if externalClause.MatchString(text) {
			folder = "/tests"
		}
		for _, test := range testFunction.FindAllStringSubmatch(text, -1) {
			data.Tests = append(data.Tests, struct{ Head, Name, Parameter string }{test[0], test[1],
				test[2]})
		}
	}
	for _, m := range tr.mistakes {
		data.Mistakes = append(data.Mistakes, struct{ Name, Folder string }{m.name, module + "/" +
			m.id() + folder})
	}
	var out strings.Builder
	require.NoError(t, trialTests.Execute(&out, data))
	return out.String()
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\((\w+) \*testing\.\w\)`)

var trialTests = template.Must(template.New("").Parse(`package trial

import (
	"os"
	"testing"
{{range $i, $m := .Mistakes}}
	m{{$i}} {{printf "%q" $m.Folder}}
{{- end}}
)
{{range $test := .Tests}}
{{$test.Head}} {
	switch os.Getenv({{printf "%q" $.Chosen}}) {
	{{- range $i, $m := $.Mistakes}}
	case {{printf "%q" $m.Name}}:
		m{{$i}}.{{$test.Name}}({{$test.Parameter}})
	{{- end}}
	}
}
{{end}}`))
