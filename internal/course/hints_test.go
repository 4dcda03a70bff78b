package course

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/imports"
)

// Pasted into the starter one after the other, as a learner would, the third
// hints turn the step green, exercise by exercise.
//
// A third hint is one or more Go code blocks. The text before a block names its
// file: the first name in backquotes that ends in .go. A block replaces the
// declarations of the same names. It's a whole file if it begins with a package
// clause.
func TestHints(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the hints take half a minute")
	}
	for i, s := range steps(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			work := pasted(t, s)
			tr := &trial{name: s.name, step: s, tests: testFiles(t, s), port: hintPorts + 2*i,
				dir: t.TempDir(), prepare: func(testing.TB, step, string) {}, variants: work}
			for i, e := range s.exercises {
				v := tr.judge(t, work[i], only(s.exercises[i:i+1]))
				require.Equalf(t, "pass", v.results[e.test].action,
					"with the third hints up to %s, it isn't green:\n%s", e.section, v.output)
			}
			v := tr.judge(t, work[len(work)-1], "")
			for _, e := range s.exercises {
				require.Equalf(t, "pass", v.results[e.test].action,
					"with all third hints, %s isn't green:\n%s", e.test, v.output)
			}
		})
	}
}

// A snapshot is what a step's Go files say at some moment.
type snapshot struct {
	name  string
	files map[string]string // by their place in the step
}

func (s snapshot) id() string { return s.name }

// make writes the files over those in dir.
func (s snapshot) make(t *testing.T, dir string) {
	t.Helper()
	for name, text := range s.files {
		write(t, filepath.Join(dir, filepath.FromSlash(name)), text)
	}
}

// pasted pastes the step's third hints into the starter, one exercise after the
// other, and returns a snapshot after each.
func pasted(t *testing.T, s step) []variant {
	t.Helper()
	dir := lay(t, s)
	hints := thirdHints(t, s)
	var all []variant
	for _, e := range s.exercises {
		require.NotEmptyf(t, hints[e.number], "%s has no code in its third hint", e.section)
		for _, hint := range hints[e.number] {
			paste(t, filepath.Join(dir, filepath.FromSlash(hint.file)), hint.text)
		}
		files := goFiles(t, dir)
		maps.DeleteFunc(files, func(name, _ string) bool {
			return strings.HasSuffix(name, "_test.go")
		})
		all = append(all, snapshot{fmt.Sprintf("hints-%02d", e.number), files})
	}
	return all
}

// A hint is a code block of a third hint.
type hint struct{ file, text string }

var (
	thirdHint  = regexp.MustCompile(`(?s)<details><summary>Hint 3</summary>\n(.*?)</details>`)
	goBlock    = regexp.MustCompile("(?s)```go\n(.*?)```")
	namedFile  = regexp.MustCompile("`([\\w/]+\\.go)`")
	itsSection = regexp.MustCompile(`(?m)^### (\d+)\. `)
)

// thirdHints returns the code blocks of the step's third hints, by exercise
// number.
func thirdHints(t *testing.T, s step) map[int][]hint {
	t.Helper()
	chapter, _, _ := strings.Cut(s.exercises[0].section, "#")
	text := read(t, filepath.Join(root, filepath.FromSlash(chapter)))
	hints := map[int][]hint{}
	sections := itsSection.FindAllStringSubmatchIndex(text, -1)
	for i, section := range sections {
		end := len(text)
		if i+1 < len(sections) {
			end = sections[i+1][0]
		}
		var number int
		fmt.Sscan(text[section[2]:section[3]], &number)
		third := thirdHint.FindStringSubmatch(text[section[0]:end])
		if third == nil {
			continue
		}
		before := 0
		for _, block := range goBlock.FindAllStringSubmatchIndex(third[1], -1) {
			file := namedFile.FindStringSubmatch(third[1][before:block[0]])
			require.NotNilf(t, file,
				"%s, exercise %d: the third hint doesn't say into which file its code goes",
				chapter, number)
			hints[number] = append(hints[number], hint{file[1], third[1][block[2]:block[3]]})
			before = block[1]
		}
	}
	return hints
}

// paste puts the block's declarations into the file.
func paste(t *testing.T, file, block string) {
	t.Helper()
	if !strings.HasPrefix(block, "package ") {
		block = replaceDeclarations(t, file, block)
	}
	fixed, err := imports.Process(file, []byte(block), nil)
	require.NoErrorf(t, err, "%s", block)
	write(t, file, string(fixed))
}

// replaceDeclarations returns the file's source with the block's declarations.
// They replace declarations of the same names. New names come last.
func replaceDeclarations(t *testing.T, file, block string) string {
	t.Helper()
	source := read(t, file)
	old := declarations(t, source)
	const clause = "package p\n"
	pasted := declarations(t, clause+block)
	names := slices.SortedFunc(maps.Keys(pasted), func(a, b string) int {
		return pasted[a].begin - pasted[b].begin
	})
	for _, name := range names {
		place := pasted[name]
		text := (clause + block)[place.begin:place.end]
		was, ok := old[name]
		if !ok {
			source += "\n" + text + "\n"
			continue
		}
		source = source[:was.begin] + text + source[was.end:]
		old = declarations(t, source)
	}
	formatted, err := format.Source([]byte(source))
	require.NoErrorf(t, err, "%s", source)
	return string(formatted)
}

type span struct{ begin, end int }

// declarations returns where a source file's top-level declarations are, with
// their comments, by name: "Server.Serve", "process".
func declarations(t *testing.T, source string) map[string]span {
	t.Helper()
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, "", source,
		parser.ParseComments|parser.SkipObjectResolution)
	require.NoErrorf(t, err, "%s", source)
	all := map[string]span{}
	for _, d := range tree.Decls {
		var doc *ast.CommentGroup
		var names []string
		switch d := d.(type) {
		case *ast.FuncDecl:
			doc, names = d.Doc, []string{d.Name.Name}
			if d.Recv != nil {
				receiver := d.Recv.List[0].Type
				if star, ok := receiver.(*ast.StarExpr); ok {
					receiver = star.X
				}
				names[0] = receiver.(*ast.Ident).Name + "." + d.Name.Name
			}
		case *ast.GenDecl:
			if d.Tok == token.IMPORT {
				continue
			}
			doc, names = d.Doc, namesOf(d)
		}
		begin := d.Pos()
		if doc != nil {
			begin = doc.Pos()
		}
		// A group of constants goes by the name of its first one.
		all[names[0]] = span{files.Position(begin).Offset, files.Position(d.End()).Offset}
	}
	return all
}

func namesOf(d *ast.GenDecl) []string {
	var names []string
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			names = append(names, spec.Name.Name)
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				names = append(names, name.Name)
			}
		}
	}
	return names
}
