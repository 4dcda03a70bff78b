package course

import (
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// bankOutputs has the output that the pages show for each mistake, by its id.
type bankOutputs struct {
	mu   sync.Mutex
	said map[string]string
}

// readBankOutputs reads the outputs from the present pages.
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

// pagesOfMistakes returns the pages in docs/mistakes.
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

// set sets the output of m: what the first exercise that catches it said.
func (o *bankOutputs) set(m mistake, said string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said[m.id()] = said
}
