package course

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"
)

// A bankEntry is a mistake as the templates see it.
type bankEntry struct {
	ID, Title   string
	Belief, Why string // as Markdown
	Diffs       []fileDiff
	OnlyDeletes bool   // the diffs have no right line
	Said        string // what the first exercise that catches it says, or ""
	Begins      string // how that begins, as Markdown, or ""
	Caught      []linkTo
	Page        bankPage
	symptoms    []string
}

// A fileDiff has the wrong and the right lines of one file.
type fileDiff struct{ File, Text string }

// caughtBy returns the exercises of the step that catch the mistake.
func (m mistake) caughtBy(s step) []exercise {
	if m.step != s.name {
		return nil
	}
	var caught []exercise
	for _, e := range s.exercises {
		if m.red[e.test] != nil {
			caught = append(caught, e)
		}
	}
	return caught
}

func (m mistake) entry(said string) *bankEntry {
	entry := &bankEntry{
		ID:          m.id(),
		Title:       m.title,
		Belief:      strings.ReplaceAll(asIs(m.belief), "\n", "\n> "),
		Why:         asIs(m.why),
		Said:        said,
		Begins:      asIs(begins(said)),
		symptoms:    m.symptoms,
		OnlyDeletes: true,
	}
	if entry.symptoms == nil { // which TestMistakesHeaders says
		entry.symptoms = []string{anyOutput}
	}
	for _, c := range m.changes {
		text := c.diff()
		if text == "" {
			continue
		}
		if strings.Contains("\n"+text, "\n+") {
			entry.OnlyDeletes = false
		}
		last := len(entry.Diffs) - 1
		if last >= 0 && entry.Diffs[last].File == c.file {
			entry.Diffs[last].Text += hunkBegins + text
			continue
		}
		entry.Diffs = append(entry.Diffs, fileDiff{c.file, text})
	}
	return entry
}

// hunkBegins marks where a diff leaves lines out.
const hunkBegins = "@@ … @@\n"

// diff returns the lines that people write, with a minus, and those to write
// instead, with a plus.
func (c change) diff() string {
	wrong, right := hiddenFunc.ReplaceAllString(c.wrong, ""), strings.TrimRight(c.right, "\n")+"\n"
	if c.show != nil {
		right = *c.show
		if right == "" {
			return ""
		}
	}
	if wrong == "\n" {
		wrong = "" // the right lines are missing
	}
	wrong, right = dedent(wrong, right)
	unified, err := udiff.ToUnified("", "", wrong, udiff.Lines(wrong, right), 3)
	if err != nil {
		panic(err) // can't happen: the edits are those of wrong
	}
	var out strings.Builder
	for i, line := range slices.Collect(strings.Lines(unified)) {
		switch {
		case i < 3: // ---, +++ and the first @@
		case strings.HasPrefix(line, "@@ "):
			out.WriteString(hunkBegins)
		default:
			out.WriteString(line)
		}
	}
	return out.String()
}

// dedent removes the tabs with which all lines of both texts begin.
func dedent(a, b string) (string, string) {
	for strings.Contains(a+b, "\t") && !unindented.MatchString(a+b) {
		a, b = firstTab.ReplaceAllString(a, ""), firstTab.ReplaceAllString(b, "")
	}
	return a, b
}

var (
	firstTab   = regexp.MustCompile(`(?m)^\t`)
	unindented = regexp.MustCompile(`(?m)^[^\t\n]`)
)

// hiddenFunc matches the beginning of a solution's function that a mistake
// renames.
var hiddenFunc = regexp.MustCompile(`\nfunc (\([^)]*\) )?asItShouldBe\(.*\n$`)

// maxBegins is how long a line of the index may be, in runes, without its link.
const maxBegins = 64

// begins returns what an exercise said when it failed, up to the first empty
// line. If that's too long, begins drops the scenario's name. If it still is,
// begins returns one sentence, which may end early.
func begins(said string) string {
	paragraph, _, _ := strings.Cut(said, "\n\n")
	text := words(paragraph)
	if isLong(text) {
		text = words(strings.TrimPrefix(paragraph, scenarioName.FindString(said)))
	}
	if isLong(text) {
		text = observation(sentences(text))
	}
	if isLong(text) {
		text = string([]rune(text)[:maxBegins])
		text = text[:strings.LastIndex(text, " ")] + " …"
	}
	return text
}

func isLong(text string) bool { return utf8.RuneCountInString(text) > maxBegins }

// sentences splits text after each period that a sentence can follow.
func sentences(text string) []string {
	return strings.Split(sentenceEnd.ReplaceAllString(text, ".\x00$1"), "\x00")
}

// observation returns the sentence that most likely says what the exercise saw.
// That's the first sentence if it says what didn't happen. Otherwise it's the
// last sentence that says more than whether the program is still running.
func observation(sentences []string) string {
	if lacks.MatchString(sentences[0]) {
		return sentences[0]
	}
	for _, sentence := range slices.Backward(sentences) {
		if !isState.MatchString(sentence) {
			return sentence
		}
	}
	return sentences[0]
}

var (
	sentenceEnd = regexp.MustCompile(`\. ([A-Z"])`)
	lacks       = regexp.MustCompile(`\b(no|not|nothing|never|instead|only|waited)\b|n't`)
	isState     = regexp.MustCompile(`still running|exited with status|` +
		`^(Serve|Run|Shutdown) returned|^But |^Byte \d+ is `)
)

// scenarioName matches a scenario's name, which begins a failure on lines of
// its own.
var scenarioName = regexp.MustCompile(`^([^\n]*[^\n:]\n){0,2}[^\n]*:\n`)

var markdown = regexp.MustCompile("[*_<>[`#|~\\]]")

// asIs returns Markdown that shows plain text as it is.
func asIs(text string) string { return markdown.ReplaceAllString(text, `\$0`) }

var failure = regexp.MustCompile(`(?m)^    (    |\w+_test\.go:\d+: )\S`)

// message returns what an exercise said when it failed, without go test's own
// words and the last lines, which say where to read on.
func message(e exercise, r result) string {
	said, _, _ := strings.Cut(r.output, "\n        read on: "+e.section+"\n")
	if start := failure.FindStringIndex(said); start != nil {
		said = said[start[1]-1:]
	}
	said = port.ReplaceAllString(said, "127.0.0.1:50000") // not another one each time
	var out strings.Builder
	for line := range strings.Lines(strings.TrimSpace(said) + "\n") {
		for range 8 {
			line = strings.TrimPrefix(line, " ")
		}
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return out.String()
}
