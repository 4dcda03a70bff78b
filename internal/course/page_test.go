package course

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/template"

	"github.com/aymanbagabas/go-udiff"
	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// The templates in pages/ make these files from the bank of mistakes:
//
//   - docs/mistakes/README.md, the index by symptom;
//   - the other pages in docs/mistakes, one for each element of bankPages;
//   - in each exercise's section of docs/1-*.md to 4-*.md, the list of its
//     mistakes.
//
// A page carries the output of its mistakes. Only running a mistake tells what
// the output is now, so TestMistakes takes it from the pages and, with -update,
// puts it back there.
const (
	bankFolder  = "docs/mistakes"
	remakePages = "go test ./internal/course -run MistakesPages -update"
	maxPage     = 100 << 10 // bytes; a phone opens such a page at once
)

// bankIsComplete is true when each mistake has its header. Until then a title
// is made of the file's name, and the chapters have no lists.
const bankIsComplete = false

// bankPages are the pages below docs/mistakes, in the order of the exercises. A
// page that outgrows maxPage is cut in two here.
var bankPages = []bankPage{
	{File: "server.md", Title: "The server", step: "step1-server"},
	{File: "client.md", Title: "The client", step: "step2-client"},
	{File: "concurrent-server.md", Title: "The concurrent server: many clients",
		step: "step3-concurrency", exercises: []int{1, 2, 3, 4, 5, 6, 7}},
	{File: "shutdown.md", Title: "The concurrent server: shutdown and the program",
		step: "step3-concurrency", exercises: []int{8, 9, 10, 11, 12}},
	{File: "concurrent-client.md", Title: "The concurrent client",
		step: "step3-concurrency", exercises: []int{13, 14, 15, 16, 17, 18}},
	{File: "own-test.md", Title: "A test of your own",
		step: "step3-concurrency", exercises: []int{19}},
	{File: "read-loop.md", Title: "The read loop", step: "step4-framing", exercises: []int{1, 2}},
	{File: "frame-writer.md", Title: "The frame writer",
		step: "step4-framing", exercises: []int{3, 4, 5, 11}},
	{File: "frame-reader.md", Title: "The frame reader",
		step: "step4-framing", exercises: []int{6, 7, 8, 9, 10, 12}},
	{File: "framed-server.md", Title: "The framed server: answers",
		step: "step4-framing", exercises: []int{13, 14, 15, 16}},
	{File: "framed-server-limits.md", Title: "The framed server: deadlines, log and shutdown",
		step: "step4-framing", exercises: []int{17, 18, 19}},
	{File: "framed-client.md", Title: "The framed client",
		step: "step4-framing", exercises: []int{20, 21, 22}},
}

// A bankPage is what pages/page.md makes one of the bankPages of.
type bankPage struct {
	File, Title string
	Sections    []bankSection
	Others      []bankPage // all bankPages

	step      string
	exercises []int // by their numbers; nil means all of the step
}

// A bankSection has the mistakes of one exercise: those that no exercise before
// it catches.
type bankSection struct {
	Exercise linkTo
	Anchor   string // of its heading
	Entries  []*bankEntry
}

// A linkTo is a link to an exercise's section.
type linkTo struct {
	Number  string // "1.3"
	Name    string // "Echo every message"
	Chapter string // "1-server.md"
	Anchor  string // "3-echo-every-message"
}

// headingAnchor is the anchor of the exercise's heading on its page of mistakes.
func (l linkTo) headingAnchor() string { return anchor(l.Number + " " + l.Name) }

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

// bankOutputs has what the pages show as the output of each mistake, by its id.
type bankOutputs struct {
	mu   sync.Mutex
	said map[string]string
}

// readBankOutputs takes the outputs from the pages as they are.
func readBankOutputs(t *testing.T) *bankOutputs {
	t.Helper()
	outputs := &bankOutputs{said: map[string]string{}}
	files, err := filepath.Glob(filepath.Join(root, bankFolder, "*.md"))
	require.NoError(t, err)
	for _, file := range files {
		source, id := []byte(read(t, file)), ""
		err := ast.Walk(goldmark.DefaultParser().Parse(text.NewReader(source)),
			func(n ast.Node, entering bool) (ast.WalkStatus, error) {
				switch n := n.(type) {
				case *ast.RawHTML:
					html := string(n.Segments.Value(source))
					if match := explicitAnchor.FindStringSubmatch(html); match != nil {
						id = match[1]
					}
				case *ast.FencedCodeBlock:
					if entering && string(n.Language(source)) == "text" {
						outputs.said[id] = string(n.Lines().Value(source))
					}
				}
				return ast.WalkContinue, nil
			})
		require.NoError(t, err)
	}
	return outputs
}

// explicitAnchor matches an anchor that doesn't come from a heading's words.
var explicitAnchor = regexp.MustCompile(`<a id="([^"]+)">`)

// pagesOfMistakes returns the pages of docs/mistakes.
func pagesOfMistakes(t *testing.T) []page {
	t.Helper()
	var pages []page
	files, err := filepath.Glob(filepath.Join(root, bankFolder, "*.md"))
	require.NoError(t, err)
	for _, file := range files {
		pages = append(pages, readPage(t, file))
	}
	return pages
}

// set enters what the first exercise that catches m said.
func (o *bankOutputs) set(m mistake, said string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said[m.id()] = said
}

// The pages of docs/mistakes and the lists in the chapters are what the bank
// makes, and the outputs in them have the words that the mistakes promise.
func TestMistakesPages(t *testing.T) {
	steps, bank, outputs := steps(t), mistakes(t), readBankOutputs(t)
	made := makeBankPages(t, steps, bank, outputs.said)
	if *update {
		writeBankPages(t, made)
		return
	}
	files, err := filepath.Glob(filepath.Join(root, bankFolder, "*"))
	require.NoError(t, err)
	for _, file := range files {
		require.Containsf(t, made, path.Join(bankFolder, filepath.Base(file)),
			"the bank doesn't make this page: delete it")
	}
	// In subtests, so that asking for one mistake alone doesn't ask for its page.
	for name, should := range made {
		t.Run(path.Base(name), func(t *testing.T) {
			is, err := os.ReadFile(filepath.Join(root, name))
			require.NoErrorf(t, err, "to write it: %s", remakePages)
			if line := firstDifference(string(is), should); line > 0 {
				t.Errorf("%s:%d isn't what the bank makes. To make the pages again: %s", name, line, remakePages)
			}
			if len(should) >= maxPage {
				t.Errorf("%s has %d bytes: cut it in two in bankPages", name, len(should))
			}
		})
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			for _, m := range bank {
				caught := m.caughtBy(s)
				if len(caught) == 0 {
					continue
				}
				said := outputs.said[m.id()]
				for _, promised := range m.red[caught[0].test] {
					if !strings.Contains(words(said), words(promised)) {
						t.Errorf("mistakes/%s promises %q, and its page shows other words. To run it and write them: "+
							"go test ./internal/course -run 'Mistakes/^%s$' -update", m.name, promised, m.id())
					}
				}
			}
		})
	}
}

// firstDifference returns the number of the first line that differs, or 0.
func firstDifference(a, b string) int {
	if a == b {
		return 0
	}
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return i + 1
		}
	}
	return min(len(as), len(bs)) + 1
}

// A mistake has a title and symptoms that the index knows.
func TestMistakesHeaders(t *testing.T) {
	titles := map[string]string{}
	for _, m := range mistakes(t) {
		t.Run(m.id(), func(t *testing.T) {
			if bankIsComplete {
				require.NotEmptyf(t, m.title, "mistakes/%s has no title", m.name)
				require.NotEmptyf(t, m.symptoms, "mistakes/%s has no symptom", m.name)
				require.NotEmptyf(t, m.why, "mistakes/%s doesn't say why it goes wrong", m.name)
			}
			require.LessOrEqual(t, len(m.symptoms), 3, m.name)
			key := m.step + ": " + m.titleOrName()
			require.Emptyf(t, titles[key], "mistakes/%s has the same title", m.name)
			titles[key] = m.name
		})
	}
}

func writeBankPages(t *testing.T, made map[string]string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, bankFolder, "*.md"))
	require.NoError(t, err)
	for _, file := range files {
		if made[path.Join(bankFolder, filepath.Base(file))] == "" {
			require.NoError(t, os.Remove(file))
		}
	}
	for name, text := range made {
		write(t, filepath.Join(root, name), text)
	}
}

// makeBankPages returns the text of each file that shows the bank, by its name.
func makeBankPages(t *testing.T, steps []step, bank []mistake, said map[string]string) map[string]string {
	t.Helper()
	made, index, taken := map[string]string{}, bankIndex{}, map[string]bool{}
	for _, p := range bankPages {
		for i, s := range steps {
			if s.name != p.step {
				continue
			}
			names := headings(t, s.exercises[0])
			for _, e := range s.exercises {
				if p.exercises != nil && !slices.Contains(p.exercises, e.number) {
					continue
				}
				require.Falsef(t, taken[e.test+s.name], "%s of %s has two pages in bankPages", e.test, s.name)
				taken[e.test+s.name] = true
				link := linkOf(i, e, names)
				section := bankSection{Exercise: link, Anchor: link.headingAnchor()}
				for _, m := range bank {
					if caught := m.caughtBy(s); len(caught) > 0 && caught[0].test == e.test {
						entry := m.entry(said[m.id()])
						for _, e := range caught {
							entry.Caught = append(entry.Caught, linkOf(i, e, names))
						}
						section.Entries = append(section.Entries, entry)
					}
				}
				p.Sections = append(p.Sections, section)
			}
		}
		p.Others = bankPages
		for _, section := range p.Sections {
			for _, entry := range section.Entries {
				entry.Page = p
				index.entries = append(index.entries, entry)
			}
		}
		made[path.Join(bankFolder, p.File)] = execute(t, "page.md", nil, p)
	}
	for _, s := range steps {
		for _, e := range s.exercises {
			require.Truef(t, taken[e.test+s.name], "%s of %s has no page in bankPages", e.test, s.name)
		}
		chapter, _, _ := strings.Cut(s.exercises[0].section, "#")
		if bankIsComplete {
			made[chapter] = listInChapter(t, chapter, index.entries)
		}
	}
	made[path.Join(bankFolder, "README.md")] = index.make(t)
	return made
}

func linkOf(step int, e exercise, names map[string]string) linkTo {
	chapter, anchor, _ := strings.Cut(strings.TrimPrefix(e.section, "docs/"), "#")
	return linkTo{fmt.Sprintf("%d.%d", step+1, e.number), names[e.section], chapter, anchor}
}

// execute returns what a template in pages/ makes of data.
func execute(t *testing.T, name string, functions template.FuncMap, data any) string {
	t.Helper()
	parsed, err := template.New(name + ".tmpl").Funcs(functions).ParseFiles(filepath.Join("pages", name+".tmpl"))
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, parsed.Execute(&out, data))
	return out.String()
}

// A bankIndex makes the index by symptom.
type bankIndex struct{ entries []*bankEntry }

// A symptomGroup has the mistakes of one page that show one symptom, and of
// these together the ones whose failures begin with the same words.
type symptomGroup struct {
	Page   bankPage
	Sights []sight
	Also   []*bankEntry // those for which another symptom is more typical
}

type sight struct {
	Begins  string
	Entries []*bankEntry
}

func (x bankIndex) make(t *testing.T) string {
	listed := map[string]bool{}
	out := execute(t, "README.md", template.FuncMap{
		"count": func() int { return len(x.entries) },
		"pages": func() []bankPage { return bankPages },
		"title": func(id string) string { return x.byID(t, id).Title },
		"at":    func(id string) string { return x.byID(t, id).Page.File + "#" + id },
		"mistakes": func(symptom string) string {
			listed[symptom] = true
			return execute(t, "symptom.md", nil, x.with(symptom))
		},
	}, nil)
	for _, entry := range x.entries {
		for _, symptom := range entry.symptoms {
			require.Truef(t, listed[symptom], "mistakes/%s.txt: pages/README.md has no symptom %q", entry.ID, symptom)
		}
	}
	return out
}

// with returns the mistakes with the symptom, by their pages.
func (x bankIndex) with(symptom string) []symptomGroup {
	var groups []symptomGroup
	for _, entry := range x.entries {
		if !slices.Contains(entry.symptoms, symptom) {
			continue
		}
		if last := len(groups) - 1; last < 0 || groups[last].Page.File != entry.Page.File {
			groups = append(groups, symptomGroup{Page: entry.Page})
		}
		group := &groups[len(groups)-1]
		if entry.symptoms[0] != symptom {
			group.Also = append(group.Also, entry)
			continue
		}
		same := slices.IndexFunc(group.Sights, func(s sight) bool {
			return s.Begins != "" && s.Begins == entry.Begins
		})
		if same < 0 {
			same = len(group.Sights)
			group.Sights = append(group.Sights, sight{Begins: entry.Begins})
		}
		group.Sights[same].Entries = append(group.Sights[same].Entries, entry)
	}
	return groups
}

func (x bankIndex) byID(t *testing.T, id string) *bankEntry {
	t.Helper()
	i := slices.IndexFunc(x.entries, func(e *bankEntry) bool { return e.ID == id })
	require.GreaterOrEqualf(t, i, 0, "pages/README.md names %s, which the bank doesn't have", id)
	return x.entries[i]
}

const (
	listBegins = "<!-- made from internal/course/mistakes -->\n"
	listEnds   = "<!-- end of what is made -->\n"
)

var (
	listed       = regexp.MustCompile(`(?s)` + listBegins + `.*?` + listEnds)
	sectionBegin = regexp.MustCompile(`(?m)^### (\d+\. .+)\n`)
	sectionEnd   = regexp.MustCompile(`(?m)^##+ `)
)

// A chapterList is what pages/chapter.md makes an exercise's list of.
type chapterList struct {
	Entries []*bankEntry
	Where   string // "mistakes/server.md#12-echo-a-message"; "" means link each entry
}

// listInChapter returns the chapter with a list of mistakes in each exercise's
// section. Where that makes the chapter too large, the lists are links to lists.
func listInChapter(t *testing.T, chapter string, entries []*bankEntry) string {
	t.Helper()
	source := listed.ReplaceAllString(read(t, filepath.Join(root, chapter)), "")
	var long string
	for _, isShort := range []bool{false, true} {
		long = insertLists(source, func(anchor string) string {
			entries, where := listOf(path.Base(chapter), anchor, entries)
			if entries == nil {
				return ""
			}
			if !isShort {
				where = ""
			}
			return listBegins + execute(t, "chapter.md", nil, chapterList{entries, where}) + listEnds
		})
		if len(long) < maxPage {
			break
		}
	}
	return long
}

// insertLists inserts a list into each numbered section of a chapter, behind the
// hints: the last that's folded there.
func insertLists(source string, list func(anchor string) string) string {
	var out strings.Builder
	for {
		begin := sectionBegin.FindStringSubmatchIndex(source)
		if begin == nil {
			return out.String() + source
		}
		heading := source[begin[2]:begin[3]]
		out.WriteString(source[:begin[1]])
		source = source[begin[1]:]
		section := source
		if end := sectionEnd.FindStringIndex(source); end != nil {
			section = source[:end[0]]
		}
		source = source[len(section):]
		const hintEnds = "</details>\n"
		if hints := strings.LastIndex(section, hintEnds); hints >= 0 {
			hints += len(hintEnds)
			section = section[:hints] + list(anchor(heading)) + section[hints:]
		}
		out.WriteString(section)
	}
}

// listOf returns the mistakes of an exercise, and the place that has them: those
// that no exercise before it catches. If there are none, it returns all that the
// exercise catches, from more than one place.
func listOf(chapter, anchor string, entries []*bankEntry) (list []*bankEntry, where string) {
	var all []*bankEntry
	for _, entry := range entries {
		for i, e := range entry.Caught {
			if e.Chapter != chapter || e.Anchor != anchor {
				continue
			}
			all = append(all, entry)
			if i == 0 {
				list = append(list, entry)
				where = "mistakes/" + entry.Page.File + "#" + e.headingAnchor()
			}
		}
	}
	if list == nil {
		return all, ""
	}
	return list, where
}

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
		Title:       m.titleOrName(),
		Belief:      strings.ReplaceAll(asIs(m.belief), "\n", "\n> "),
		Why:         asIs(m.why),
		Said:        said,
		Begins:      asIs(begins(said)),
		symptoms:    m.symptoms,
		OnlyDeletes: true,
	}
	if entry.symptoms == nil {
		entry.symptoms = []string{"wrong-output"}
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

// hunkBegins stands where a diff leaves lines out.
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

// dedent takes off the tabs that all lines of both texts begin with.
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

// hiddenFunc matches the beginning of the solution's function that a mistake
// moves out of the way.
var hiddenFunc = regexp.MustCompile(`\nfunc (\([^)]*\) )?asItShouldBe\(.*\n$`)

// maxBegins is how long a line of the index may be, in runes, without its link.
const maxBegins = 100

// begins returns the first sentence of what an exercise said. If it's too long,
// it does without the scenario's name, and then ends early.
func begins(said string) string {
	paragraph, _, _ := strings.Cut(said, "\n\n")
	text := words(paragraph)
	if sentence, _, isCut := strings.Cut(text, ". "); isCut {
		text = sentence + "."
	}
	if scenario := scenarioName.FindString(said); len([]rune(text)) > maxBegins {
		text = strings.TrimPrefix(text, words(scenario)+" ")
	}
	if runes := []rune(text); len(runes) > maxBegins {
		text = string(runes[:maxBegins])
		text = text[:strings.LastIndex(text, " ")] + " …"
	}
	return text
}

// scenarioName matches the name of a scenario, which begins a failure and has
// lines of its own.
var scenarioName = regexp.MustCompile(`^([^\n]*[^\n:]\n){0,2}[^\n]*:\n`)

// subjects are the first words of the files' names.
var subjects = map[string]string{"frame": "the frame package", "readbuffer": "the read loop"}

// titleOrName returns the title, or a sentence made of the file's name: "The
// server never closes" of "server-never-closes.txt".
func (m mistake) titleOrName() string {
	if m.title != "" {
		return m.title
	}
	subject, rest, _ := strings.Cut(m.id(), "-")
	if long, isKnown := subjects[subject]; isKnown {
		subject = long
	} else {
		subject = "the " + subject
	}
	return "T" + (subject + " " + strings.ReplaceAll(rest, "-", " "))[1:]
}

var markdown = regexp.MustCompile("[*_<>[`#|~\\]]")

// asIs writes plain text as Markdown that shows it so.
func asIs(text string) string { return markdown.ReplaceAllString(text, `\$0`) }

var failure = regexp.MustCompile(`(?m)^    (    |\w+_test\.go:\d+: )\S`)

// message returns what an exercise said when it failed, without go test's own
// words and without the last lines, which say where to read on.
func message(e exercise, r result) string {
	said, _, _ := strings.Cut(r.output, "\n        read on: "+e.section+"\n")
	if start := failure.FindStringIndex(said); start != nil {
		said = said[start[1]-1:]
	}
	var out strings.Builder
	for line := range strings.Lines(strings.TrimSpace(said) + "\n") {
		for range 8 {
			line = strings.TrimPrefix(line, " ")
		}
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return out.String()
}
