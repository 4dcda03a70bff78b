package course

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/require"
)

// The templates in pages/ make these files from the bank of mistakes:
//
//   - docs/mistakes/README.md is the index by symptom, missing.md,
//     never-ends.md and output.md are parts of it, and words.md has what people
//     search for.
//   - The other pages in docs/mistakes are the elements of bankPages.
//   - Each exercise's section in docs/1-*.md to 4-*.md has a list of its
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

// bankPages are the pages in docs/mistakes, in the order of the exercises. Cut
// a page that outgrows maxPage in two here.
var bankPages = []bankPage{
	{File: "server.md", Title: "The server: messages",
		step: "step1-server", exercises: []int{1, 2, 3, 4, 5, 6}},
	{File: "serving.md", Title: "The server: clients and the port",
		step: "step1-server", exercises: []int{7, 8, 9, 10}},
	{File: "client.md", Title: "The client", step: "step2-client"},
	{File: "concurrent-server.md", Title: "The concurrent server: many clients",
		step: "step3-concurrency", exercises: []int{1, 2, 3, 4}},
	{File: "limits.md", Title: "The concurrent server: limits and timeouts",
		step: "step3-concurrency", exercises: []int{5, 6, 7}},
	{File: "shutdown.md", Title: "The concurrent server: shutdown",
		step: "step3-concurrency", exercises: []int{8, 9}},
	{File: "any-moment.md", Title: "The concurrent server: shutdown at any moment, and the program",
		step: "step3-concurrency", exercises: []int{10, 11, 12}},
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

// A bankPage is the data from which pages/page.md makes a page.
type bankPage struct {
	File, Title string
	Sections    []bankSection
	Others      []bankPage // all bankPages

	step      string
	exercises []int // by their numbers; nil means all of the step
}

// A bankSection has the mistakes that an exercise is the first to catch.
type bankSection struct {
	Exercise linkTo
	Entries  []*bankEntry
	number   int // of the exercise
}

// A linkTo is a link to an exercise's section.
type linkTo struct {
	Number  string // "1.3"
	Name    string // "Echo every message"
	Chapter string // "1-server.md"
	Anchor  string // "3-echo-every-message"
}

// HeadingAnchor returns the anchor of the exercise's heading on its page of
// mistakes.
func (l linkTo) HeadingAnchor() string { return anchor(l.Number + " " + l.Name) }

// The pages in docs/mistakes and the lists in the chapters are what the
// templates make of the bank. The outputs in them have the words that the
// mistakes promise.
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
	// These are subtests, so that -run of a single mistake leaves them out.
	for name, should := range made {
		t.Run(path.Base(name), func(t *testing.T) {
			is, err := os.ReadFile(filepath.Join(root, name))
			require.NoErrorf(t, err, "to write it: %s", remakePages)
			if line := firstDifference(string(is), should); line > 0 {
				t.Errorf("%s:%d isn't what the bank makes. To make the pages again: %s", name, line,
					remakePages)
			}
			if strings.HasPrefix(name, bankFolder) && len(should) >= maxPage {
				t.Errorf("%s has %d bytes, and at most %d open at once: cut it in two in bankPages",
					name, len(should), maxPage)
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
						t.Errorf("mistakes/%s promises %q, but its page shows other words: "+
							"go test ./internal/course -run 'TestMistakes//^%s$' -update",
							m.name, promised, m.id())
					}
				}
			}
		})
	}
}

// firstDifference returns the number of the first line that differs, or 0 if
// none does.
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

// A mistake has a title of its own in its step, and one to three symptoms.
func TestMistakesHeaders(t *testing.T) {
	titles := map[string]string{}
	for _, m := range mistakes(t) {
		t.Run(m.id(), func(t *testing.T) {
			require.NotEmptyf(t, m.title, "mistakes/%s has no title", m.name)
			require.NotEmptyf(t, m.symptoms, "mistakes/%s has no symptom", m.name)
			require.LessOrEqualf(t, len(m.symptoms), 3, "mistakes/%s has too many symptoms", m.name)
			require.NotEmptyf(t, m.why, "mistakes/%s doesn't say why it goes wrong", m.name)
			key := m.step + ": " + m.title
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

// makeBankPages returns the text of each file that shows the bank, by the
// file's name.
func makeBankPages(t *testing.T, steps []step, bank []mistake,
	said map[string]string) map[string]string {
	t.Helper()
	made, index := map[string]string{}, bankIndex{}
	for i, s := range steps {
		sections := sectionsOf(t, i, s, bank, said)
		for _, p := range bankPages {
			if p.step != s.name {
				continue
			}
			for number, section := range sections {
				if p.exercises == nil || slices.Contains(p.exercises, number) {
					p.Sections = append(p.Sections, section)
					delete(sections, number)
				}
			}
			slices.SortFunc(p.Sections, func(a, b bankSection) int { return a.number - b.number })
			p.Others = bankPages
			index.add(p)
			made[path.Join(bankFolder, p.File)] = execute(t, "page.md", nil, p)
		}
		require.Emptyf(t, sections, "bankPages has no page for these exercises of %s", s.name)
	}
	for _, s := range steps {
		chapter, _, _ := strings.Cut(s.exercises[0].section, "#")
		made[chapter] = listInChapter(t, chapter, index.entries)
	}
	for name, text := range index.make(t) {
		made[path.Join(bankFolder, name)] = text
	}
	return made
}

// sectionsOf returns the sections of the exercises of steps[i], which is s, by
// the exercises' numbers.
func sectionsOf(t *testing.T, i int, s step, bank []mistake,
	said map[string]string) map[int]bankSection {
	t.Helper()
	names := headings(t, s.exercises[0])
	sections := map[int]bankSection{}
	for _, e := range s.exercises {
		sections[e.number] = bankSection{Exercise: linkOf(i, e, names), number: e.number}
	}
	for _, m := range bank {
		caught := m.caughtBy(s)
		if len(caught) == 0 {
			continue
		}
		entry := m.entry(said[m.id()])
		for _, e := range caught {
			entry.Caught = append(entry.Caught, linkOf(i, e, names))
		}
		section := sections[caught[0].number]
		section.Entries = append(section.Entries, entry)
		sections[caught[0].number] = section
	}
	return sections
}

func linkOf(step int, e exercise, names map[string]string) linkTo {
	chapter, anchor, _ := strings.Cut(strings.TrimPrefix(e.section, "docs/"), "#")
	return linkTo{fmt.Sprintf("%d.%d", step+1, e.number), names[e.section], chapter, anchor}
}

// execute executes a template in pages/ with data.
func execute(t *testing.T, name string, functions template.FuncMap, data any) string {
	t.Helper()
	parsed, err := template.New(name + ".tmpl").Funcs(functions).ParseFiles(filepath.Join("pages",
		name+".tmpl"))
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, parsed.Execute(&out, data))
	return out.String()
}
