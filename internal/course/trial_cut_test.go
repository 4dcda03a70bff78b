package course

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A cutter takes from a trial's test files what a mistake doesn't need. With an
// empty cache, compiling the tests once more for each mistake takes longer than
// anything else in the proof.
type cutter struct {
	texts     map[string]string
	files     map[string]*ast.File
	position  *token.FileSet
	functions map[string]*ast.FuncDecl // by name
}

func newCutter(t *testing.T, texts map[string]string) *cutter {
	t.Helper()
	c := &cutter{texts: texts, files: map[string]*ast.File{}, position: token.NewFileSet(),
		functions: map[string]*ast.FuncDecl{}}
	for name, text := range texts {
		file, err := parser.ParseFile(c.position, name, text, 0)
		require.NoError(t, err)
		c.files[name] = file
		for _, f := range functionsOf(file) {
			c.functions[f.Name.Name] = f
		}
	}
	return c
}

// functionsOf returns a file's functions that aren't methods.
func functionsOf(file *ast.File) (all []*ast.FuncDecl) {
	for _, declaration := range file.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil {
			all = append(all, f)
		}
	}
	return all
}

// cut returns the files without the bodies of the exercises that don't run, and
// of the functions that only those call. All other code stays on its line.
func (c *cutter) cut(runs func(test string) bool) map[string]string {
	n := needs{c, map[*ast.FuncDecl]bool{}, map[string]bool{}}
	for _, file := range c.files {
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || f.Recv != nil || f.Name.Name == "TestMain" || runs(f.Name.Name) {
				n.add(declaration)
			} else {
				n.add(f.Type)
			}
		}
	}
	short := map[string]string{}
	for name := range c.files {
		short[name] = n.keep(name)
	}
	return short
}

// needs are what the tests that run need.
type needs struct {
	*cutter
	functions map[*ast.FuncDecl]bool
	packages  map[string]bool // file/name: the packages that each file's code uses
}

// add notes which functions and packages the code uses. It takes any identifier
// with a function's name for that function, so it may find too many functions,
// but never too few.
func (n needs) add(code ast.Node) {
	if f, ok := code.(*ast.FuncDecl); ok {
		n.functions[f] = true
	}
	ast.Inspect(code, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.SelectorExpr:
			if name, ok := node.X.(*ast.Ident); ok {
				file := n.position.File(name.Pos()).Name()
				n.packages[path.Join(file, name.Name)] = true
			}
		case *ast.Ident:
			if f := n.cutter.functions[node.Name]; f != nil && !n.functions[f] {
				n.add(f)
			}
		}
		return true
	})
}

// keep returns the text of a file without the bodies that aren't needed.
func (n needs) keep(name string) string {
	text, file := n.texts[name], n.files[name]
	at := func(p token.Pos) int { return n.position.Position(p).Offset }
	for _, f := range slices.Backward(functionsOf(file)) {
		if !n.functions[f] {
			begin, end := at(f.Body.Lbrace)+1, at(f.Body.Rbrace)
			lines := strings.Count(text[begin:end], "\n")
			text = text[:begin] + " panic(0)" + strings.Repeat("\n", lines) + text[end:]
		}
	}
	for _, spec := range slices.Backward(file.Imports) {
		used := path.Base(strings.Trim(spec.Path.Value, `"`))
		if spec.Name != nil {
			used = spec.Name.Name
		}
		// An import that isn't used doesn't compile.
		if !n.packages[path.Join(name, used)] {
			text = text[:at(spec.Pos())] + "_ " + spec.Path.Value + text[at(spec.End()):]
		}
	}
	return text
}
