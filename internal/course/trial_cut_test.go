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

// cut returns a step's test files without the bodies of the exercises that
// needn't run, and of the functions that only those call. With an empty cache,
// compiling the tests once more for each mistake takes longer than anything
// else in the proof. All other code stays on its line.
func cut(t *testing.T, files map[string]string, runs func(test string) bool) map[string]string {
	t.Helper()
	c := cutter{position: token.NewFileSet(), functions: map[string]*ast.FuncDecl{},
		needed: map[*ast.FuncDecl]bool{}, packages: map[string]bool{}}
	parsed := map[string]*ast.File{}
	for name, text := range files {
		file, err := parser.ParseFile(c.position, name, text, 0)
		require.NoError(t, err)
		parsed[name] = file
		for _, f := range functionsOf(file) {
			c.functions[f.Name.Name] = f
		}
	}
	for _, file := range parsed {
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || f.Recv != nil || f.Name.Name == "TestMain" || runs(f.Name.Name) {
				c.need(declaration)
			} else {
				c.need(f.Type)
			}
		}
	}
	short := map[string]string{}
	for name, text := range files {
		short[name] = c.cut(text, parsed[name])
	}
	return short
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

type cutter struct {
	position  *token.FileSet
	functions map[string]*ast.FuncDecl // by name
	needed    map[*ast.FuncDecl]bool
	packages  map[string]bool // file/name: the packages that needed code uses in each file
}

// need notes which functions and packages the code uses. It takes any
// identifier with a function's name for that function, so it may find too many
// functions, but never too few.
func (c *cutter) need(code ast.Node) {
	if f, ok := code.(*ast.FuncDecl); ok {
		c.needed[f] = true
	}
	ast.Inspect(code, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if name, ok := n.X.(*ast.Ident); ok {
				c.packages[path.Join(c.fileOf(name), name.Name)] = true
			}
		case *ast.Ident:
			if f := c.functions[n.Name]; f != nil && !c.needed[f] {
				c.need(f)
			}
		}
		return true
	})
}

func (c *cutter) fileOf(code ast.Node) string { return c.position.File(code.Pos()).Name() }

// cut returns the text of a file without the bodies that aren't needed.
func (c *cutter) cut(text string, file *ast.File) string {
	at := func(p token.Pos) int { return c.position.Position(p).Offset }
	for _, f := range slices.Backward(functionsOf(file)) {
		if !c.needed[f] {
			begin, end := at(f.Body.Lbrace)+1, at(f.Body.Rbrace)
			lines := strings.Count(text[begin:end], "\n")
			text = text[:begin] + " panic(0)" + strings.Repeat("\n", lines) + text[end:]
		}
	}
	for _, spec := range slices.Backward(file.Imports) {
		name := path.Base(strings.Trim(spec.Path.Value, `"`))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		// An import that isn't used doesn't compile.
		if !c.packages[path.Join(c.fileOf(file), name)] {
			text = text[:at(spec.Pos())] + "_ " + spec.Path.Value + text[at(spec.End()):]
		}
	}
	return text
}
