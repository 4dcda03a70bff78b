package course

import (
	"flag"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"

	"example.com/tcp-steps/internal/lesson"
	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

var update = flag.Bool("update", false, "write down what the commands of the chapters print now")

// A page is a Markdown file.
type page struct {
	name     string // from the workspace's top folder: "docs/1-server.md"
	source   []byte
	headings []heading
	ids      []string // of anchors that don't come from a heading's words
	links    []string
	blocks   []block
}

type heading struct{ text, anchor string }

// A block is a fenced code block.
type block struct {
	language string
	file     string // the second word behind the fence, if any: the file that it shows
	comment  string // in the HTML comment just before, if any
	text     string
	start    int // of text in the page's source
	line     int
}

func (b block) isConsole() bool { return b.language == "console" }

func pages(t *testing.T) []page {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	var pages []page
	for _, name := range append(names, filepath.Join(root, "README.md")) {
		pages = append(pages, readPage(t, name))
	}
	return pages
}

func readPage(t *testing.T, file string) page {
	t.Helper()
	name, err := filepath.Rel(root, file)
	require.NoError(t, err)
	p := page{name: filepath.ToSlash(name), source: []byte(read(t, file))}
	require.NotContainsf(t, string(p.source), "\r", "%s has line endings other than LF", p.name)
	document := goldmark.DefaultParser().Parse(text.NewReader(p.source))
	err = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			words := plain(n, p.source)
			p.headings = append(p.headings, heading{words, anchor(words)})
		case *ast.RawHTML:
			if id := explicitAnchor.FindSubmatch(n.Segments.Value(p.source)); id != nil {
				p.ids = append(p.ids, string(id[1]))
			}
		case *ast.Link:
			p.links = append(p.links, string(n.Destination))
		case *ast.Image:
			p.links = append(p.links, string(n.Destination))
		case *ast.FencedCodeBlock:
			p.blocks = append(p.blocks, readBlock(n, p.source))
		}
		return ast.WalkContinue, nil
	})
	require.NoError(t, err)
	return p
}

func readBlock(n *ast.FencedCodeBlock, source []byte) block {
	b := block{text: string(n.Lines().Value(source))}
	if n.Info != nil {
		info := strings.Fields(string(n.Info.Value(source)))
		if len(info) > 0 {
			b.language = info[0]
		}
		if len(info) > 1 {
			b.file = info[1]
		}
	}
	if n.Lines().Len() > 0 {
		b.start = n.Lines().At(0).Start
		b.line = 1 + strings.Count(string(source[:b.start]), "\n")
	}
	if html, ok := n.PreviousSibling().(*ast.HTMLBlock); ok {
		comment := strings.TrimSpace(string(html.Lines().Value(source)))
		if inside, isComment := strings.CutPrefix(comment, "<!--"); isComment {
			b.comment = strings.TrimSpace(strings.TrimSuffix(inside, "-->"))
		}
	}
	return b
}

func plain(n ast.Node, source []byte) string {
	var words strings.Builder
	for child := n.FirstChild(); child != nil; child = child.NextSibling() {
		if leaf, ok := child.(*ast.Text); ok {
			words.Write(leaf.Segment.Value(source))
			continue
		}
		words.WriteString(plain(child, source))
	}
	return words.String()
}

// anchor returns the anchor that GitHub gives a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// Every link leads somewhere. Of an address on the web, only the form counts.
func TestChapters_Links(t *testing.T) {
	anchors := map[string]bool{} // "docs/1-server.md#anchor"
	all := append(pages(t), pagesOfMistakes(t)...)
	for _, p := range all {
		for _, id := range p.ids {
			require.Falsef(t, anchors[p.name+"#"+id], "%s: the anchor %q is there twice", p.name,
				id)
			anchors[p.name+"#"+id] = true
		}
		for _, h := range p.headings {
			require.Falsef(t, anchors[p.name+"#"+h.anchor], "%s: the heading %q is there twice",
				p.name, h.text)
			anchors[p.name+"#"+h.anchor] = true
		}
	}
	for _, p := range all {
		for _, link := range p.links {
			address, err := url.Parse(link)
			require.NoErrorf(t, err, "%s: %s", p.name, link)
			if address.Scheme != "" {
				require.Equalf(t, "https", address.Scheme, "%s: %s", p.name, link)
				continue
			}
			target := p.name
			if address.Path != "" {
				target = path.Join(path.Dir(p.name), address.Path)
				_, err = os.Stat(filepath.Join(root, filepath.FromSlash(target)))
				require.NoErrorf(t, err, "%s: the link %s leads nowhere", p.name, link)
			}
			if address.Fragment != "" {
				require.Truef(t, anchors[target+"#"+address.Fragment],
					"%s: the link %s leads to no heading", p.name, link)
			}
		}
	}
}

var numberedHeading = regexp.MustCompile(`^(\d+)\. (.+)$`)

// headings returns the words of the numbered headings in the chapter of an
// exercise, by section: "docs/1-server.md#3-echo-every-message" is "Echo every
// message".
func headings(t *testing.T, e exercise) map[string]string {
	t.Helper()
	name, _, _ := strings.Cut(e.section, "#")
	words := map[string]string{}
	for _, h := range readPage(t, filepath.Join(root, filepath.FromSlash(name))).headings {
		if parts := numberedHeading.FindStringSubmatch(h.text); parts != nil {
			words[name+"#"+h.anchor] = parts[2]
		}
	}
	return words
}

// Every exercise has its section and every section its exercise, in the same
// order and with the same words.
func TestChapters_Exercises(t *testing.T) {
	for _, s := range steps(t) {
		chapter, _, _ := strings.Cut(s.exercises[0].section, "#")
		var numbered []heading
		for _, h := range readPage(t, filepath.Join(root, filepath.FromSlash(chapter))).headings {
			if numberedHeading.MatchString(h.text) {
				numbered = append(numbered, h)
			}
		}
		require.Lenf(t, numbered, len(s.exercises),
			"%s has not as many numbered headings as %s has exercises", chapter, s.name)
		for i, e := range s.exercises {
			h := numbered[i]
			require.Equalf(t, i+1, e.number, "%s: %s is out of order", e.file, e.test)
			require.Equalf(t, chapter+"#"+h.anchor, e.section,
				"%s: %s names another section than the one that comes now, %q", e.file, e.test,
				h.text)
			require.Truef(t, saysTheSame(e.test, h.text),
				"%s: %s and the heading %q in %s differ in their words",
				e.file, e.test, h.text, chapter)
		}
	}
}

// saysTheSame reports whether a test's name, such as Test03_EchoesEveryMessage,
// and a heading, "3. Echo every message", have the same words. The verb in the
// name has an extra s.
func saysTheSame(test, heading string) bool {
	_, heading, _ = strings.Cut(heading, ". ")
	_, test, _ = strings.Cut(test, "_")
	for _, verb := range strings.Fields(heading) {
		for _, form := range []string{verb + "s", verb + "es"} {
			words := strings.Replace(heading, verb, form, 1)
			if strings.EqualFold(test, letters.ReplaceAllString(words, "")) {
				return true
			}
		}
	}
	return false
}

var letters = regexp.MustCompile(`[^\pL\d]`)

// A code block that names a file shows a piece of that file.
func TestChapters_Files(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.file == "" {
				continue
			}
			file := read(t, filepath.Join(root, filepath.FromSlash(b.file)))
			require.Containsf(t, "\n"+file, "\n"+b.text, "%s:%d is not what stands in %s", p.name,
				b.line, b.file)
		}
	}
}

// A console block shows a command and what it prints in the workspace's top
// folder. A comment before the block says what the learner has done so far, in
// the step that the command names: "with mistakes/server-answers-once.txt" or
// "with the solution". Without a comment, the learner has done nothing.
func TestChapters_Console(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the chapters show what Linux prints; other systems word some errors differently")
	}
	for _, p := range pages(t) {
		if !slices.ContainsFunc(p.blocks, block.isConsole) {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			checkConsole(t, p)
		})
	}
}

func checkConsole(t *testing.T, p page) {
	t.Helper()
	compiled.Do(func() { compile(t) })
	workspace := copyWorkspace(t)
	source := string(p.source)
	for _, b := range slices.Backward(p.blocks) { // so that the places of those before stay
		if !b.isConsole() {
			continue
		}
		command, printed, _ := strings.Cut(b.text, "\n")
		command, isCommand := strings.CutPrefix(command, "$ ")
		require.Truef(t, isCommand, "%s:%d does not begin with a command", p.name, b.line)
		needsRace := strings.Contains(printed, "race detector")
		if needsRace && !hasRaceDetector() {
			t.Logf("%s:%d isn't checked: there's no race detector here", p.name, b.line)
			continue
		}
		var now string
		if strings.Contains(command, "./internal/...") {
			now = proofPrints(t, printed)
		} else {
			now = runConsole(t, workspace, command, b.comment, shortcuts(needsRace)...)
		}
		if timeless(printed) == timeless(now) {
			continue
		}
		if !*update {
			require.Equalf(t, timeless(printed), timeless(now),
				"%s:%d: %q prints something else now. If that is meant: "+
					"go test ./internal/course -run Chapters -update", p.name, b.line, command)
		}
		source = source[:b.start] + "$ " + command + "\n" + now + source[b.start+len(b.text):]
	}
	if source != string(p.source) {
		write(t, filepath.Join(root, filepath.FromSlash(p.name)), source)
	}
}

// copyWorkspace copies the workspace to a new folder and returns that.
func copyWorkspace(t *testing.T) string {
	t.Helper()
	workspace := t.TempDir()
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	for _, entry := range entries {
		from, to := filepath.Join(root, entry.Name()), filepath.Join(workspace, entry.Name())
		switch {
		case entry.Name() == ".git":
		case entry.IsDir():
			require.NoError(t, os.CopyFS(to, os.DirFS(from)))
		default:
			write(t, to, read(t, from))
		}
	}
	return workspace
}

// shortcuts returns environment variables with which a block prints the same,
// sooner: without go vet, and without second runs under the race detector
// unless it needs them. With -update there are none, because the times must be
// real.
func shortcuts(needsRace bool) []string {
	if *update {
		return nil
	}
	env := []string{trimmed() + " -vet=off"}
	if !needsRace {
		env = append(env, lesson.WithoutRace+"=1")
	}
	return env
}

var stepName = regexp.MustCompile(`step\d-\w+`)

func runConsole(t *testing.T, workspace, command, state string, env ...string) string {
	t.Helper()
	if name := stepName.FindString(command); name != "" {
		dir := filepath.Join(workspace, name)
		require.NoError(t, os.RemoveAll(dir)) // a solution may have more files than the starter
		require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(root, name))))
		if state != "" {
			solve(t, step{name: name}, dir)
		}
		file, isMistake := strings.CutPrefix(state, "with ")
		if isMistake && file != "the solution" {
			m := readMistake(t, filepath.FromSlash(file))
			m.make(t, dir)
		}
	}
	args := strings.Fields(command)
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skipf("there is no %s", args[0])
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = workspace
	cmd.Env = append(append(os.Environ(), "GOWORK=", trimmed(), "NO_COLOR=1", "TZ=UTC"), env...)
	out, _ := cmd.CombinedOutput()
	return trimLines(downloads.ReplaceAllString(strings.ReplaceAll(string(out), "\r", ""), ""))
}

// downloads matches what go prints at its first run.
var downloads = regexp.MustCompile(`(?m)^go: downloading .*\n`)

// trimLines removes blanks at the ends of lines, and empty lines at both ends
// of the text.
func trimLines(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

var duration = regexp.MustCompile(`\b\d+(\.\d+)?(ms|s)\b|\d+m\d+(\.\d+)?s|\(cached\)`)

// chance matches what differs between runs because goroutines run at the same
// time: whose bytes come last, and at which lines, in which order, the race
// detector sees a race. It also matches the rest of a port in a line that was
// cut.
var chance = regexp.MustCompile(`I am client \d{3}|[Cc]lient \d{2,3}\b *|…\d+ |` +
	`\bserver\.go:\d+(\s+and\s+server\.go:\d+)+|\bserver\.go:\d{3}\b`)

// bubbleLog matches lines that a program logged in a bubble, where it's always
// the year 2000. Goroutines that log at the same moment do so in any order.
var bubbleLog = regexp.MustCompile(`(?m)(^ +2000/01/01 .*\n)+`)

// packageLines matches gotestsum's lines about packages. They come in any
// order.
var packageLines = regexp.MustCompile(`(?m)(^[✓✖∅]  .*\n)+`)

// emptyPackage matches such a line about a package without tests. The line has
// a time only if go vet took any.
var emptyPackage = regexp.MustCompile(`(?m)^(∅  \S+) \(\S+\)$`)

// logTime matches a time as package slog prints it.
var logTime = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)

var port = regexp.MustCompile(`127\.0\.0\.1:[3-6](\d{4}\b|\d*…)`)

// timeless returns text with everything alike that differs between runs: times,
// ports that the kernel picks, and what [chance] matches.
func timeless(text string) string {
	text = bubbleLog.ReplaceAllStringFunc(chance.ReplaceAllString(text, "chance"),
		func(lines string) string {
			return strings.Join(slices.Sorted(strings.Lines(lines)), "")
		})
	text = packageLines.ReplaceAllStringFunc(text, func(lines string) string {
		lines = emptyPackage.ReplaceAllString(lines, "$1")
		return strings.Join(slices.Sorted(strings.Lines(lines)), "")
	})
	text = logTime.ReplaceAllString(text, "2000-01-01T00:00:00.000Z")
	return port.ReplaceAllString(duration.ReplaceAllString(text, "0s"), "127.0.0.1:50000")
}

// proofPrints returns what the command that runs this very test will print. The
// test can't run that command. The order of the packages, the number of tests
// and the times are as in printed.
func proofPrints(t *testing.T, printed string) string {
	t.Helper()
	folders, err := os.ReadDir(filepath.Join(root, "internal"))
	require.NoError(t, err)
	packages := 0
	for _, folder := range folders {
		if folder.IsDir() {
			packages++
			require.Regexp(t,
				`(?m)^✓  example\.com/tcp-steps/internal/`+folder.Name()+` \(\d[\dms.]*\)$`,
				printed)
		}
	}
	require.Equal(t, packages, strings.Count(printed, "✓"), printed)
	require.Regexp(t, `\n\nDONE \d{3,4} tests, 2 skipped in \d[\dms.]*\n$`, printed)
	return printed
}
