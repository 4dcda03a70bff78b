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
