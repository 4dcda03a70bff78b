package course

import (
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// listBegins stands before a list.
const listBegins = "<!-- mistakes -->\n"

var (
	listed       = regexp.MustCompile(`(?s)` + listBegins + `(<details>.*?</details>\n|\n[^\n]*\n)`)
	sectionBegin = regexp.MustCompile(`(?m)^### (\d+\. .+)\n`)
	sectionEnd   = regexp.MustCompile(`(?m)^##+ `)
)

// A chapterList is the data from which pages/chapter.md makes an exercise's
// list.
type chapterList struct {
	Entries []*bankEntry
	Where   string // "mistakes/server.md#12-echo-a-message"; "" means link each entry
}

// listInChapter returns the chapter with a list of mistakes in each exercise's
// section. If that makes the chapter too large, the sections have links to
// lists instead.
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
			return listBegins + execute(t, "chapter.md", nil, chapterList{entries, where})
		})
		if len(long) < maxPage {
			break
		}
	}
	return long
}

// insertLists inserts a list into each numbered section of a chapter, after the
// hints, which are the section's last folded part.
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

// listOf returns the mistakes that the exercise is the first to catch, and the
// place that has them. If there are none, it returns all mistakes that the
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
				where = "mistakes/" + entry.Page.File + "#" + e.HeadingAnchor()
			}
		}
	}
	if list == nil {
		return all, ""
	}
	return list, where
}
