package course

import (
	"maps"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/imports"
	"golang.org/x/tools/txtar"
)

// A mistake is a file in mistakes/. It begins with a header:
//
//	title: The server answers once
//	symptom: nothing-comes-back, ends-too-early
//
// Then comes a paragraph that says what people believe, in their words, and
// paragraphs that say why it goes wrong. The rest has headings.
//
//	-- step1-server/main.go --    lines of that file's solution
//	-- instead --                 the lines that people write instead
//	-- show --                    the right lines for its page, if the
//	                              solution's lines don't suit it. If it's
//	                              empty, the page leaves this change out.
//	-- Test02_EchoesAMessage --   an exercise that must go red, and words
//	                              of its message, line by line
//
// The first three headings may come more than once. The proof adapts a file's
// imports.
type mistake struct {
	name     string // the file's
	title    string
	symptoms []string // as pages/README.md names them, the most typical one first
	belief   string
	why      string
	step     string
	changes  []change
	red      map[string][]string // by the exercise's name: words of its message
}

type change struct {
	file, right, wrong string
	show               *string // instead of right
}

// readHeader reads the header and the paragraphs below it into the mistake.
func (m *mistake) readHeader(comment string) {
	for {
		line, rest, _ := strings.Cut(comment, "\n")
		if title, ok := strings.CutPrefix(line, "title: "); ok {
			m.title = strings.TrimSpace(title)
		} else if symptoms, ok := strings.CutPrefix(line, "symptom: "); ok {
			for symptom := range strings.SplitSeq(symptoms, ",") {
				m.symptoms = append(m.symptoms, strings.TrimSpace(symptom))
			}
		} else {
			break
		}
		comment = rest
	}
	belief, why, _ := strings.Cut(strings.TrimSpace(comment), "\n\n")
	m.belief, m.why = belief, strings.TrimSpace(why)
}

func readMistake(t *testing.T, file string) mistake {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	require.NoError(t, err)
	m := mistake{name: filepath.Base(file), red: map[string][]string{}}
	m.readHeader(string(archive.Comment))
	require.NotEmptyf(t, m.belief, "%s does not begin with what people believe", m.name)
	for _, part := range archive.Files {
		text := string(part.Data)
		switch {
		case strings.HasSuffix(part.Name, ".go"):
			step, file, _ := strings.Cut(part.Name, "/")
			m.step = step
			m.changes = append(m.changes, change{file: file, right: text})
		case part.Name == "instead":
			require.NotEmptyf(t, m.changes, "%s: «instead» of what?", m.name)
			m.changes[len(m.changes)-1].wrong = strings.TrimRight(text, "\n") + "\n"
		case part.Name == "show":
			require.NotEmptyf(t, m.changes, "%s: «show» instead of what?", m.name)
			if text = strings.TrimRight(text, "\n"); text != "" {
				text += "\n"
			}
			m.changes[len(m.changes)-1].show = &text
		default:
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); line != "" {
					m.red[part.Name] = append(m.red[part.Name], line)
				}
			}
			require.NotEmptyf(t, m.red[part.Name], "%s promises no words of %s", m.name, part.Name)
		}
	}
	require.NotEmptyf(t, m.changes, "%s changes nothing", m.name)
	require.NotEmptyf(t, m.red, "%s names no exercise that catches it", m.name)
	return m
}

// id returns the file's name without ".txt".
func (m mistake) id() string { return strings.TrimSuffix(m.name, ".txt") }

// make makes the mistake in dir, which has the step's solution.
func (m mistake) make(t *testing.T, dir string) {
	t.Helper()
	for _, c := range m.changes {
		place := filepath.Join(dir, filepath.FromSlash(c.file))
		text := read(t, place)
		right := strings.TrimRight(c.right, "\n") + "\n"
		require.Equalf(t, 1, strings.Count(text, right),
			"mistakes/%s: these lines of solutions/%s/%s aren't there once:\n%s",
			m.name, m.step, c.file, right)
		fixed, err := imports.Process(place, []byte(strings.Replace(text, right, c.wrong, 1)), nil)
		require.NoErrorf(t, err, "mistakes/%s does not compile", m.name)
		write(t, place, string(fixed))
	}
}

// isRace reports whether what the mistake promises needs the race detector.
func (m mistake) isRace() bool { return m.promises("race detector") }

// promises reports whether the mistake promises the words for any exercise.
func (m mistake) promises(words string) bool {
	for _, promised := range m.red {
		if strings.Contains(strings.Join(promised, " "), words) {
			return true
		}
	}
	return false
}

func mistakes(t *testing.T) []mistake {
	t.Helper()
	paths, err := filepath.Glob("mistakes/*.txt")
	require.NoError(t, err)
	var all []mistake
	for _, path := range paths {
		all = append(all, readMistake(t, path))
	}
	return all
}

// Exactly the exercises that a mistake names catch it, in the words that it
// promises. The exercises after the last of them may say anything. With
// -update, the pages of docs/mistakes show what the exercises say now.
//
// The mistakes of a trial use the same port, so they run one after the other.
// Trials run side by side. To run a single mistake: -run 'TestMistakes//name'.
func TestMistakes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the mistakes take a minute or two")
	}
	steps, bank := steps(t), mistakes(t)
	show := func(m mistake, said string) {}
	if *update {
		outputs := readBankOutputs(t)
		makeBankPages(t, steps, bank, outputs.said) // fails now if it must
		show = outputs.set
		t.Cleanup(func() { // when all of them have run
			writeBankPages(t, makeBankPages(t, steps, bank, outputs.said))
		})
	}
	// Go starts the last parallel subtest first. Those of steps 1 and 2 take
	// longest, because they mostly wait.
	trials := try(t, steps, bank, solve)
	slices.SortStableFunc(trials, func(a, b *trial) int {
		return strings.Compare(b.step.name, a.step.name)
	})
	for _, tr := range trials {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			for _, v := range tr.variants {
				m := v.(mistake)
				t.Run(m.id(), func(t *testing.T) {
					show(m, tr.catch(t, m))
				})
			}
		})
	}
}

// catch makes sure that the exercises catch the mistake as it promises, and
// returns the first one's message.
func (tr *trial) catch(t *testing.T, m mistake) string {
	t.Helper()
	if m.isRace() {
		needRaceDetector(t)
	}
	if m.promises("kept a CPU busy") && runtime.GOOS != "linux" {
		t.Skip("only Linux tells what a program's threads do")
	}
	caught := m.caughtBy(tr.step)
	require.NotEmptyf(t, caught, "mistakes/%s names no exercise of %s", m.name, m.step)
	v := tr.judgeMistake(t, m, only(tr.exercisesFor(m)))

	var red []string
	for name, result := range v.results {
		require.NotEmptyf(t, result.action, "mistakes/%s: %s does not end:\n%s", m.name, name,
			v.output)
		if result.action == "fail" {
			red = append(red, name)
		}
	}
	slices.Sort(red)
	named := slices.Sorted(maps.Keys(m.red))
	require.Equalf(t, named, red, "mistakes/%s names other exercises than those that are red:\n%s",
		m.name, v.output)
	for _, e := range caught {
		r := v.results[e.test]
		checkRed(t, e, r)
		for _, promised := range m.red[e.test] {
			require.Containsf(t, words(r.output), words(promised),
				"mistakes/%s: the message of %s in %s has not these words:\n%s",
				m.name, e.test, e.file, r.output)
		}
	}
	return message(caught[0], v.results[caught[0].test])
}

// exercisesFor returns the exercises in the trial's files, up to the last one
// that the mistake names.
func (tr *trial) exercisesFor(m mistake) []exercise {
	last := 0
	for _, e := range m.caughtBy(tr.step) {
		last = max(last, e.number)
	}
	var all []exercise
	for _, e := range tr.step.exercises {
		if slices.Contains(tr.tests, path.Base(e.file)) && e.number <= last {
			all = append(all, e)
		}
	}
	return all
}

// Each exercise catches at least three mistakes.
func TestMistakes_AreEnough(t *testing.T) {
	caught := map[string]int{}
	for _, m := range mistakes(t) {
		for name := range m.red {
			caught[m.step+" "+name]++
		}
	}
	for _, s := range steps(t) {
		for _, e := range s.exercises {
			require.GreaterOrEqualf(t, caught[s.name+" "+e.test], 3,
				"mistakes/ has too few that %s of %s catches", e.test, s.name)
		}
	}
}
