package course

import (
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"example.com/tcp-steps/internal/lesson"
	"github.com/stretchr/testify/require"
)

// A trial is a test binary with several mistakes in it, for to link one takes longer than to run the exercises. It
// is that of a package in a copy of the step, which has, below that package, one for each mistake: with the mistake, and with
// the tests, as ordinary files. The tests of the package itself call those of the mistake that the
// environment variable [chosen] names.
type trial struct {
	dir      string // a step will be laid there, and solved
	folder   string // of the package, in the step
	port     int    // 20010, for example, stands for 20000 there, so that trials need not wait for their turns on that
	mistakes []mistake
	rewrite  func(dir string, m mistake) // see try

	build sync.Once
	file  string     // the test binary, when it is built
	turn  sync.Mutex // one process at a time uses the port
}

// chosen is the environment variable that tells a trial which mistake to make.
const chosen = "TCP_STEPS_MISTAKE"

// try returns the trials of the mistakes, by the mistakes' names. Where it is not nil, rewrite may change the tests of
// a package beforehand: in dir, a copy of the step of the given mistake.
func try(t *testing.T, bank []mistake, rewrite func(dir string, m mistake)) map[string]*trial {
	t.Helper()
	const many = 12 // for each trial, or so: few wait for each other then, and when one changes, few others are built with it
	group := func(m mistake) string { return fmt.Sprint(m.step, m.folder(), m.isRace()) }
	size := map[string]int{}
	for _, m := range bank {
		size[group(m)]++
	}
	trials, all := map[string]*trial{}, map[string]*trial{}
	for _, m := range bank {
		// What comes from the name does not move when a mistake is added.
		part := crc32.ChecksumIEEE([]byte(m.name)) % uint32((size[group(m)]+many-1)/many)
		key := fmt.Sprint(group(m), part)
		if all[key] == nil {
			all[key] = &trial{dir: t.TempDir(), folder: m.folder(), port: 20010 + 2*len(all), rewrite: rewrite}
		}
		all[key].mistakes = append(all[key].mistakes, m)
		trials[m.name] = all[key]
	}
	return trials
}

// judge runs, with the mistake, the exercises whose names the regular expression which matches.
func (tr *trial) judge(t *testing.T, m mistake, which string, env ...string) verdict {
	t.Helper()
	tr.build.Do(func() { tr.file = tr.make(t) })
	require.NotEmpty(t, tr.file, "another mistake in the same trial, one of the same package, could not be made")
	tr.turn.Lock()
	defer tr.turn.Unlock()
	tests := command(filepath.Dir(tr.file))
	tests.Path, tests.Args = tr.file, []string{tr.file, "-test.v=test2json", "-test.paniconexit0", "-test.timeout=2m", "-test.run=" + which}
	tests.Env = append(append(tests.Env, env...), everything, chosen+"="+m.name)
	if !m.isRace() {
		tests.Env = append(tests.Env, lesson.WithoutRace+"=1") // which finds it before the race detector can, and saves half the time
	}
	out, _ := tests.CombinedOutput()                             // its exit status tells no more
	toJSON := exec.Command(test2json())                          // which would make the tests ignore Ctrl-C if it ran them itself
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

// test2json returns the file of Go's tool, which it compiles the first time.
var test2json = sync.OnceValue(func() string {
	file, _ := exec.Command("go", "tool", "-n", "test2json").Output()
	return strings.TrimSpace(string(file))
})

// make makes the trial, and returns the test binary. That runs where it lies, in the package's folder.
func (tr *trial) make(t *testing.T) string {
	t.Helper()
	compiled.Do(func() { compile(t) })
	s := step{name: tr.mistakes[0].step}
	dir := layIn(t, tr.dir, s)
	solve(t, s, dir)
	if tr.rewrite != nil {
		tr.rewrite(dir, tr.mistakes[0])
	}

	folder := filepath.Join(dir, tr.folder)
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	for _, m := range tr.mistakes {
		place := filepath.Join(folder, m.id())
		for _, file := range files {
			write(t, filepath.Join(place, filepath.Base(file)), read(t, file))
		}
		m.make(t, place)
		makeImportable(t, place)
	}
	var names []string // of the tests, with their parameters
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			names = append(names, testFunction.FindAllString(read(t, file), -1)...)
		}
		require.NoError(t, os.Remove(file))
	}
	write(t, filepath.Join(folder, "trial_test.go"), tr.tests(path.Join("example.com/tcp-steps", s.name, tr.folder), names))
	ports := strings.NewReplacer(":20000", fmt.Sprint(":", tr.port), ":19999", fmt.Sprint(":", tr.port+1))
	for _, folder := range []string{dir, filepath.Join(dir, "../internal/program")} {
		walk(t, folder, func(file string) { write(t, file, ports.Replace(read(t, file))) })
	}

	file := filepath.Join(folder, "trial.test.exe")
	out, err := command(folder, "test", "-c", "-vet=off", "-ldflags=-s -w", "-o", file).CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
	return file
}

var testFunction = regexp.MustCompile(`(?m)^func (Test|Fuzz)\w+\(\w+ \*testing\.\w\)`)

var mainClause = regexp.MustCompile(`(?m)^package main$`)

// makeImportable makes a package with tests one that another package can import, tests and all. For the compiler
// each line stays where it was.
func makeImportable(t *testing.T, folder string) {
	t.Helper()
	walk(t, folder, func(file string) {
		text := mainClause.ReplaceAllString(read(t, file), "package program")
		if name, isTest := strings.CutSuffix(file, "_test.go"); isTest {
			require.NoError(t, os.Remove(file))
			text = "//line " + filepath.Base(file) + ":1\n" + text
			file = name + "_tests.go"
		}
		write(t, file, text)
	})
}

// tests returns the tests of the package with the given path: each calls that of the chosen mistake.
func (tr *trial) tests(path string, names []string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "package trial\n\nimport (\n\"os\"\n\"testing\"\n")
	for i, m := range tr.mistakes {
		fmt.Fprintf(&out, "m%d %q\n", i, path+"/"+m.id())
	}
	fmt.Fprintf(&out, ")\n")
	for _, name := range names {
		function, parameter, _ := strings.Cut(strings.TrimPrefix(name, "func "), "(")
		parameter, _, _ = strings.Cut(parameter, " ")
		fmt.Fprintf(&out, "%s {\nswitch os.Getenv(%q) {\n", name, chosen)
		for i, m := range tr.mistakes {
			fmt.Fprintf(&out, "case %q: m%d.%s(%s)\n", m.name, i, function, parameter)
		}
		fmt.Fprintf(&out, "}\n}\n")
	}
	return out.String()
}
