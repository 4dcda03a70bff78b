package course

import (
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/imports"
)

var endless = flag.Bool("endless", false,
	"put code without end into each function that a learner writes, in all ways")

// endlessCode has the first lines of a function that never ends, by the way in
// which it goes on.
var endlessCode = map[string]string{
	"loop":       "for {\n}",
	"goroutines": "for {\n\tgo func() { select {} }()\n}",
	"memory": "var all [][]byte\nfor {\n" +
		"\tall = append(all, bytes.Repeat([]byte(\"x\"), 1<<20))\n}",
	"output": "for {\n\tfmt.Println(\"again and again\")\n}",
}

// The functions that a learner writes. Each has an exercise that calls it, and
// the way that the test tries without -endless.
var learnersFunctions = []struct {
	step, file, function, exercise, way string
	// calls is a loop that calls a value of the function's own.
	calls string
}{
	{"step1-server", "main.go", "process", "Test03", "goroutines", "for {\n\tgo conn.Read(nil)\n}"},
	{"step1-server", "main.go", "main", "Test01", "memory",
		"for {\n\tnet.Dial(\"tcp\", \"127.0.0.1:1\")\n}"},
	{"step2-client", "main.go", "main", "Test01", "output", "for {\n\tos.Stdin.Read(nil)\n}"},
	{"step3-concurrency", "server.go", "Server.Serve", "Test01", "memory",
		"for {\n\tgo ln.Accept()\n}"},
	{"step3-concurrency", "server.go", "Server.Shutdown", "Test08", "loop",
		"for {\n\tctx.Err()\n}"},
	{"step3-concurrency", "server.go", "Server.Shutdown", "Test12", "loop",
		"for {\n\tctx.Err()\n}"},
	{"step3-concurrency", "server.go", "Server.Clients", "Test12", "goroutines",
		"for {\n\ts.log()\n}"},
	{"step3-concurrency", "cmd/server/main.go", "main", "Test11", "memory",
		"for {\n\tnet.Listen(\"tcp\", \"127.0.0.1:0\")\n}"},
	{"step3-concurrency", "client.go", "Run", "Test13", "output",
		"for {\n\tconn.Write([]byte(\"x\"))\n}"},
	{"step3-concurrency", "own/check.go", "Check", "Test19", "goroutines", "for {\n\tln.Dial()\n}"},
	{"step4-framing", "frame/frame.go", "Reader.ReadFrame", "Test06", "loop",
		"for {\n\tr.r.Read(nil)\n}"},
	{"step4-framing", "frame/frame.go", "Writer.WriteFrame", "Test03", "memory",
		"for {\n\tw.w.Write(payload)\n}"},
	{"step4-framing", "frame/frame.go", "Writer.Flush", "Test04", "output",
		"for {\n\tw.w.Write(nil)\n}"},
	{"step4-framing", "client.go", "Run", "Test20", "loop", "for {\n\tin.Read(nil)\n}"},
	{"step4-framing", "cmd/client/main.go", "main", "Test22", "goroutines",
		"for {\n\tos.Stdin.Read(nil)\n}"},
}

// Nothing that a learner writes hangs the run or takes the machine down. A
// function that never ends makes its exercise red within seconds, with one of
// the sentences for that.
func TestEndless(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("they take half a minute")
	}
	for _, f := range learnersFunctions {
		for way, code := range endlessCode {
			if *endless || way == f.way {
				t.Run(f.step+"/"+f.function+"/"+way, func(t *testing.T) {
					t.Parallel()
					tryEndless(t, f.step, f.file, f.function, f.exercise, code)
				})
			}
		}
		if *endless {
			t.Run(f.step+"/"+f.function+"/calls", func(t *testing.T) {
				tryEndless(t, f.step, f.file, f.function, f.exercise, f.calls)
			})
		}
	}
}

func tryEndless(t *testing.T, name, file, function, exercise, code string) {
	t.Helper()
	compiled.Do(func() { compile(t) })
	s := step{name: name}
	dir := lay(t, s)
	solve(t, s, dir)
	place := filepath.Join(dir, filepath.FromSlash(file))
	source := read(t, place)
	was, ok := declarations(t, source)[function]
	require.Truef(t, ok, "solutions/%s/%s has no %s", name, file, function)
	text := source[was.begin:was.end]
	text = strings.Replace(text, "{\n", "{\n"+code+"\n", 1)
	source = source[:was.begin] + text + source[was.end:]
	fixed, err := imports.Process(place, []byte(source), nil)
	require.NoErrorf(t, err, "%s", source)
	write(t, place, string(fixed))

	cmd := command(dir, "test", "-json", "-count=1", "-timeout=5m", "-vet=off", "-run=^"+exercise,
		".")
	v := run(t, cmd, everything)

	red := ""
	for test, r := range v.results {
		if strings.HasPrefix(test, exercise) && r.action == "fail" {
			red = r.output
		}
	}
	require.NotEmptyf(t, red, "%s of %s isn't red:\n%s", exercise, name, v.output)
	require.Regexpf(t, endlessWords, words(red), "%s of %s doesn't say that it goes on without end",
		exercise, name)
	took := regexp.MustCompile(`--- FAIL: \w+ \((\d+\.\d+)s\)`).FindStringSubmatch(red)
	require.NotNilf(t, took, "%s", red)
	seconds, err := strconv.ParseFloat(took[1], 64)
	require.NoError(t, err)
	t.Logf("%v, %d MiB at most: %s", time.Duration(seconds*float64(time.Second)), peak(cmd)>>20,
		firstSentence(red))
}

// endlessWords matches messages that say that code never ends, or what that
// looks like from outside the program.
var endlessWords = regexp.MustCompile(`is stuck|without end|busy loop|MiB|never ends|` +
	`no program listens|didn't connect|still running|hasn't returned|didn't return`)

var spokenMessage = regexp.MustCompile(`(?s)_test\.go:\d+: [^\n]*\n\s+(.*?)(\n\s*\n|$)`)

func firstSentence(output string) string {
	if parts := spokenMessage.FindStringSubmatch(output); parts != nil {
		return words(parts[1])
	}
	return fmt.Sprintf("%.80q", output)
}
