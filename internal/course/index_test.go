package course

import (
	"slices"
	"testing"
	"text/template"

	"github.com/stretchr/testify/require"
)

// A bankIndex makes the index by symptom.
type bankIndex struct{ entries []*bankEntry }

func (x *bankIndex) add(p bankPage) {
	for _, section := range p.Sections {
		for _, entry := range section.Entries {
			entry.Page = p
			x.entries = append(x.entries, entry)
		}
	}
}

// A symptomGroup has the mistakes of one page that show one symptom. Mistakes
// whose failures begin with the same words are together.
type symptomGroup struct {
	Page   bankPage
	Sights []sight
	Also   []*bankEntry // those for which another symptom is more typical
}

type sight struct {
	Begins  string
	Entries []*bankEntry
}

// make returns the index's pages, by name: the index itself, its part that
// would make it too large, and the words people search for.
func (x bankIndex) make(t *testing.T) map[string]string {
	t.Helper()
	listed := map[string]bool{}
	functions := template.FuncMap{
		"count":   func() int { return len(x.entries) },
		"howMany": func(symptom string) int { return x.howMany(symptom) },
		"pages":   func() []bankPage { return bankPages },
		"title":   func(id string) string { return x.byID(t, id).Title },
		"at":      func(id string) string { return x.byID(t, id).Page.File + "#" + id },
		"mistakes": func(symptom string) string {
			listed[symptom] = true
			return execute(t, "symptom.md", nil, x.with(symptom))
		},
	}
	made := map[string]string{}
	for _, name := range []string{
		"README.md", "missing.md", "never-ends.md", "output.md", "words.md",
	} {
		made[name] = execute(t, name, functions, nil)
	}
	for _, entry := range x.entries {
		for _, symptom := range entry.symptoms {
			require.Truef(t, listed[symptom], "mistakes/%s.txt: the index has no symptom %q",
				entry.ID, symptom)
		}
	}
	return made
}

// howMany returns the number of mistakes for which the symptom is typical.
func (x bankIndex) howMany(symptom string) int {
	n := 0
	for _, entry := range x.entries {
		if entry.symptoms[0] == symptom {
			n++
		}
	}
	return n
}

// anyOutput is the symptom for output that no other symptom covers.
const anyOutput = "wrong-output"

// with returns the mistakes with the symptom, by their pages.
func (x bankIndex) with(symptom string) []symptomGroup {
	var groups []symptomGroup
	for _, entry := range x.entries {
		if !slices.Contains(entry.symptoms, symptom) {
			continue
		}
		isTypical := entry.symptoms[0] == symptom
		if !isTypical && symptom == anyOutput {
			continue // the typical one says more
		}
		if last := len(groups) - 1; last < 0 || groups[last].Page.File != entry.Page.File {
			groups = append(groups, symptomGroup{Page: entry.Page})
		}
		group := &groups[len(groups)-1]
		if !isTypical {
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
	require.GreaterOrEqualf(t, i, 0,
		"pages/README.md.tmpl or words.md.tmpl names %s, which the bank doesn't have", id)
	return x.entries[i]
}
