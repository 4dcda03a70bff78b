package course

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// mistakesPage is docs/mistakes.md, which is made from the bank: what people believe, the
// wrong lines beside the right ones, and what the first exercise that catches it says. With -update, TestMistakes
// writes it anew.
type mistakesPage struct {
	mu   sync.Mutex
	said map[string]string // by the mistake's name: the output that the page shows
}

var mistakesFile = filepath.Join(root, "docs", "mistakes.md")

func readMistakesPage(t *testing.T) *mistakesPage {
	t.Helper()
	p := &mistakesPage{said: map[string]string{}}
	if _, err := os.Stat(mistakesFile); err != nil && *update {
		return p
	}
	for _, b := range readPage(t, mistakesFile).blocks {
		if b.comment != "" {
			p.said[strings.TrimPrefix(b.comment, "mistakes/")] = b.text
		}
	}
	return p
}

// show puts into the page what an exercise has said.
func (p *mistakesPage) show(m mistake, said string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said[m.name] = said
}

// The page of mistakes is what the bank makes: each mistake is there, with its lines as they are, and
// with an output that has the words which TestMistakes has just looked for.
func TestMistakesPage(t *testing.T) {
	page, steps, bank := readMistakesPage(t), steps(t), mistakes(t)
	const rewrite = "go test ./internal/course -run Mistakes -update -timeout 30m"
	is, should := lines(read(t, mistakesFile)), lines(pageOf(t, steps, bank, page.said))
	for i := range max(len(is), len(should)) {
		require.Truef(t, i < len(is) && i < len(should) && is[i] == should[i], "docs/mistakes.md:%d is not what the bank makes. To write it anew: %s", i+1, rewrite)
	}
	require.Less(t, len(read(t, mistakesFile)), 512<<10, "GitHub shows what is larger as plain text")
	for _, s := range steps {
		for _, m := range bank {
			if caught := m.caughtBy(s); len(caught) > 0 {
				for _, promised := range m.red[caught[0].test] {
					require.Containsf(t, words(page.said[m.name]), words(promised), "docs/mistakes.md shows something else for mistakes/%s. To write it anew: %s", m.name, rewrite)
				}
			}
		}
	}
}

const opening = `# Mistakes

Real mistakes in TCP servers and clients in Go: what people believe, the lines that they write and the ones that are right, and
what is seen then. Have you made one? Look for the words of the failure, or for the lines, with the search of your browser.

Each mistake begins with the belief behind it, as a quotation. In the lines, those with a minus are wrong, those with a plus are
right. The output is that of the exercise of [this course](README.md) that catches the mistake; how to read its picture
is said [there](README.md#how-to-read-a-picture). The lines with a plus are those of the solutions: if you do the course, do the exercise first.

<!-- Made from internal/course/mistakes: go test ./internal/course -run Mistakes -update -->

## Contents

`

// pageOf makes the page. A mistake stands with the first exercise that catches it.
func pageOf(t *testing.T, steps []step, bank []mistake, said map[string]string) string {
	t.Helper()
	var contents, body strings.Builder
	for i, s := range steps {
		chapter, _, _ := strings.Cut(s.exercises[0].section, "#")
		title := readPage(t, filepath.Join(root, filepath.FromSlash(chapter))).headings[0].text
		fmt.Fprintf(&contents, "- [%s](#%s)\n", title, anchor(title))
		fmt.Fprintf(&body, "\n## %s\n", title)
		for _, e := range s.exercises {
			number := fmt.Sprintf("%d.%d", i+1, e.number)
			heading := fmt.Sprintf("Exercise %s: %s", number, imperative(e.test))
			entries := ""
			for _, m := range bank {
				if caught := m.caughtBy(s); len(caught) > 0 && caught[0].test == e.test {
					entries += entry(i+1, m, caught, said[m.name])
				}
			}
			if entries != "" {
				fmt.Fprintf(&contents, "  - [%s](#%s)\n", heading, anchor(heading))
				fmt.Fprintf(&body, "\n### %s\n%s", heading, entries)
			}
		}
	}
	return opening + contents.String() + body.String()
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

func entry(chapter int, m mistake, caught []exercise, said string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n#### %s\n\n", title(m.name))
	belief, comment, _ := strings.Cut(strings.TrimSpace(m.belief), "\n\n")
	fmt.Fprintf(&out, "> %s\n", strings.ReplaceAll(asIs(belief), "\n", "\n> "))
	if comment != "" {
		fmt.Fprintf(&out, "\n%s\n", asIs(comment))
	}
	for i, c := range m.changes {
		if i == 0 || c.file != m.changes[i-1].file {
			fmt.Fprintf(&out, "\nIn `%s`:\n\n```diff\n", m.step+"/"+c.file)
		} else {
			out.WriteString("@@ … @@\n")
		}
		out.WriteString(diff(c.wrong, c.right))
		if i == len(m.changes)-1 || c.file != m.changes[i+1].file {
			out.WriteString("```\n")
		}
	}
	links := make([]string, len(caught))
	for i, e := range caught {
		links[i] = fmt.Sprintf("[%d.%d](%s)", chapter, e.number, strings.TrimPrefix(e.section, "docs/"))
	}
	fmt.Fprintf(&out, "\nCaught by exercise %s:\n", links[0])
	if said != "" {
		fmt.Fprintf(&out, "\n<!-- mistakes/%s -->\n```text\n%s```\n", m.name, said)
	}
	if more := links[1:]; len(more) == 1 {
		fmt.Fprintf(&out, "\nExercise %s is red, too.\n", more[0])
	} else if len(more) > 1 {
		fmt.Fprintf(&out, "\nExercises %s are red, too.\n", strings.Join(more[:len(more)-1], ", ")+" and "+more[len(more)-1])
	}
	return out.String()
}

// subjects are the first words of the files' names.
var subjects = map[string]string{"frame": "the frame package", "readbuffer": "the read loop"}

// spelling has the words of files' names that are written otherwise.
var spelling = strings.NewReplacer(
	" udp", " UDP", " eof", " EOF", " kib", " KiB", " mib", " MiB", " ctrl c", " Ctrl-C", " log fatal", " log.Fatal", " waitgroup", " WaitGroup",
	" readfull", " ReadFull", " readframe", " ReadFrame", " writeframe", " WriteFrame", " in flush", " in Flush",
	" of dial", " of Dial", " of listen", " of Listen", " of accept", " of Accept", " when accept ", " when Accept ", " when write ", " when Write ",
)

// title makes a sentence of a file's name: "The server never closes" of
// "server-never-closes.txt".
func title(name string) string {
	subject, rest, _ := strings.Cut(strings.TrimSuffix(name, ".txt"), "-")
	if long, isKnown := subjects[subject]; isKnown {
		subject = long
	} else {
		subject = "the " + subject
	}
	return "T" + spelling.Replace(subject + " " + strings.ReplaceAll(rest, "-", " "))[1:]
}

var markdown = regexp.MustCompile("[*_<>[`#|~]")

// asIs writes plain text as Markdown that shows it so.
func asIs(text string) string { return markdown.ReplaceAllString(text, `\$0`) }

// diff returns the lines of both texts, with a minus those of wrong alone, with a plus those of right alone.
func diff(wrong, right string) string {
	a, b := lines(wrong), lines(right)
	same := make([][]int, len(a)+1) // how many lines a[i:] and b[j:] have in common
	for i := range same {
		same[i] = make([]int, len(b)+1)
	}
	for i, line := range slices.Backward(a) {
		for j := range slices.Backward(b) {
			if line == b[j] {
				same[i][j] = same[i+1][j+1] + 1
			} else {
				same[i][j] = max(same[i+1][j], same[i][j+1])
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out.WriteString(" " + a[i])
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || same[i+1][j] >= same[i][j+1]):
			out.WriteString("-" + a[i])
			i++
		default:
			out.WriteString("+" + b[j])
			j++
		}
	}
	return out.String()
}

// lines returns the lines of text, without the empty ones at its end.
func lines(text string) []string {
	if text = strings.TrimRight(text, "\n"); text == "" {
		return nil
	}
	return slices.Collect(strings.Lines(text + "\n"))
}

var failure = regexp.MustCompile(`(?m)^    (    |\w+_test\.go:\d+: )\S`)

// message returns what an exercise said when it failed, without go test's own
// words and without the last line, which says where to read on.
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
