package course

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var assertions = flag.Bool("assertions", false,
	"remove the exercises' assertions one by one, and see which mistake gets through")

// An assertion is needed if a mistake, without it, gets through or fails in
// other words than it promises.
//
//	go test ./internal/course -run Assertions -assertions -v
//
// prints, for each assertion, a mistake that needs it. It fails for assertions
// that no mistake needs: add a mistake, or remove the assertion, unless it only
// catches what can't be foreseen. This takes some minutes.
func TestAssertions(t *testing.T) {
	if !*assertions {
		t.Skip("only with -assertions: it takes some minutes")
	}
	var mu sync.Mutex
	neededBy := map[string]string{} // by the step and the assertion's place: a mistake's name
	all := map[string][]assertion{} // by the step's name
	for _, s := range steps(t) {
		all[s.name] = assertionsOf(t, s)
	}
	t.Run("mistakes", func(t *testing.T) {
		bank := mistakes(t)
		trials := try(t, steps(t), bank, func(t testing.TB, s step, dir string) {
			solve(t, s, dir)
			makeRemovable(t, dir, all[s.name])
		})
		for _, tr := range trials {
			t.Run(tr.name, func(t *testing.T) {
				t.Parallel()
				for _, v := range tr.variants {
					m := v.(mistake)
					need := func(place string) bool {
						mu.Lock()
						defer mu.Unlock()
						return neededBy[m.step+"/"+place] == ""
					}
					for place := range assertionsThatCatch(t, tr, m, all[m.step], need) {
						mu.Lock()
						neededBy[m.step+"/"+place] = m.name
						mu.Unlock()
					}
				}
			})
		}
	})
	requireNeeded(t, all, neededBy)
}

// requireNeeded reports which mistake needs each assertion, and fails the test
// for those that no mistake needs.
func requireNeeded(t *testing.T, all map[string][]assertion, neededBy map[string]string) {
	t.Helper()
	for _, step := range slices.Sorted(maps.Keys(all)) {
		for _, a := range all[step] {
			by := neededBy[step+"/"+a.place()]
			t.Logf("%-52s %s", step+"/"+a.place(), by)
			if by == "" {
				t.Errorf("%s/%s: no mistake needs this assertion, or one has no test yet: %s", step,
					a.place(), a.text)
			}
		}
	}
}

// An assertion is a statement of an exercise that calls testify's require with
// a message about the learner's work. A call without a message doesn't count:
// it only makes sure that the test itself could begin.
type assertion struct {
	file        string // "1_server_test.go", in the step
	text        string // its first line
	first, last int    // its lines
	begin, end  int    // its bytes in the file
}

// place returns the assertion's file and line: "1_server_test.go:575".
func (a assertion) place() string { return fmt.Sprintf("%s:%d", a.file, a.first) }

func assertionsOf(t *testing.T, s step) []assertion {
	t.Helper()
	var all []assertion
	walk(t, filepath.Join(root, s.name), func(file string) {
		if strings.HasSuffix(file, "_test.go") {
			name, err := filepath.Rel(filepath.Join(root, s.name), file)
			require.NoError(t, err)
			all = append(all, assertionsIn(t, filepath.ToSlash(name), read(t, file))...)
		}
	})
	return all
}

func assertionsIn(t *testing.T, name, text string) []assertion {
	t.Helper()
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, name, text, parser.SkipObjectResolution)
	require.NoError(t, err)
	var all []assertion
	ast.Inspect(tree, func(n ast.Node) bool {
		statement, ok := n.(*ast.ExprStmt)
		if !ok {
			return true
		}
		begin, end := files.Position(statement.Pos()), files.Position(statement.End())
		line, _, _ := strings.Cut(text[begin.Offset:end.Offset], "\n")
		if strings.HasPrefix(line, "require.") &&
			line != "require.NoError(t, err)" && line != "require.NoError(e, err)" {
			all = append(all, assertion{name, line, begin.Line, end.Line, begin.Offset, end.Offset})
		}
		return true
	})
	return all
}

// removed is the environment variable that names the assertion to leave out.
const removed = "TCP_STEPS_REMOVED"

// assertionsThatCatch returns the places of the assertions without which the
// mistake isn't caught. It only tries the assertions for which try returns
// true.
func assertionsThatCatch(t *testing.T, tr *trial, m mistake, all []assertion,
	try func(place string) bool) map[string]bool {
	t.Helper()
	needed := map[string]bool{}
	for test, r := range tr.judgeMistake(t, m, only(m.caughtBy(tr.step))).results {
		a, ok := speaker(r.output, all)
		if !ok || m.red[test] == nil || !try(a.place()) {
			continue
		}
		without := tr.judgeMistake(t, m, "^"+test+"$", removed+"="+a.place()).results[test]
		for _, promised := range m.red[test] {
			if without.action != "fail" || !strings.Contains(words(without.output),
				words(promised)) {
				needed[a.place()] = true
			}
		}
	}
	return needed
}

// makeRemovable rewrites the tests of the step in dir, so that [removed] can
// leave an assertion out. No line moves. No function is a test's helper any
// more, so a failure names the assertion's own line, not its caller's.
func makeRemovable(t testing.TB, dir string, all []assertion) {
	t.Helper()
	texts := map[string]string{}
	// Insert from the end, so that earlier offsets stay right.
	for _, a := range slices.Backward(all) {
		if texts[a.file] == "" {
			texts[a.file] = read(t, filepath.Join(dir, filepath.FromSlash(a.file)))
		}
		text := texts[a.file]
		unless := fmt.Sprintf("if os.Getenv(%q) != %q {", removed, a.place())
		texts[a.file] = text[:a.begin] + unless + text[a.begin:a.end] + "}" + text[a.end:]
	}
	for file, text := range texts {
		text = strings.ReplaceAll(text, "t.Helper()", "")
		if !strings.Contains(text, "\t\"os\"\n") {
			text = strings.Replace(text, "import (\n", "import (\"os\";\n", 1)
		}
		write(t, filepath.Join(dir, filepath.FromSlash(file)), text)
	}
}

var spoke = regexp.MustCompile(`(?m)^ +(\w+_test\.go):(\d+): `)

// speaker returns the assertion whose message begins the output of an exercise.
// There's none if the message is the kit's.
func speaker(output string, all []assertion) (assertion, bool) {
	if parts := spoke.FindStringSubmatch(output); parts != nil {
		line, _ := strconv.Atoi(parts[2])
		for _, a := range all {
			if path.Base(a.file) == parts[1] && a.first <= line && line <= a.last {
				return a, true
			}
		}
	}
	return assertion{}, false
}
