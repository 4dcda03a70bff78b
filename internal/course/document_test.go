package course

import (
	"crypto/sha256"
	"fmt"
	"go/scanner"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The first two solutions are the document's listings, token by token and
// comment by comment, except for the package clause and the imports.
func TestDocument(t *testing.T) {
	var listings []block
	for _, b := range readPage(t, filepath.Join(root, "docs", "the-document.md")).blocks {
		if b.language == "go" {
			listings = append(listings, b)
		}
	}
	require.Len(t, listings, 2)
	for i, document := range []struct{ solution, sum string }{
		{"solutions/step1-server/main.go",
			"9dd990302ba64e3f058b5e2a4a9b943cafbee3d5eec8b23368857fe2096bff99"},
		{"solutions/step2-client/main.go",
			"d56ba15d6fd8bc8fff42f81557e82f4e616382a911e94329c9e46f361d94691f"},
	} {
		// This is the checksum of the document's own listing.
		require.Equalf(t, document.sum, fmt.Sprintf("%x", sha256.Sum256([]byte(listings[i].text))),
			"docs/the-document.md:%d is not the document's listing any more", listings[i].line)
		solution := read(t, filepath.Join(root, filepath.FromSlash(document.solution)))
		require.Equalf(t, tokens(t, listings[i].text), tokens(t, withoutImports(t, solution)),
			"%s is not the listing of docs/the-document.md:%d", document.solution, listings[i].line)
	}
}

// withoutImports removes the package clause and the one import declaration.
func withoutImports(t *testing.T, source string) string {
	t.Helper()
	before, rest, found := strings.Cut(source, "package main\n")
	require.True(t, found)
	_, after, found := strings.Cut(rest, "\n)\n")
	require.True(t, found)
	return before + after
}

// tokens returns the tokens and comments of source, one a line.
func tokens(t *testing.T, source string) string {
	t.Helper()
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(source))
	s.Init(file, []byte(source), func(pos token.Position, msg string) {
		t.Errorf("line %d: %s",
			pos.Line, msg)
	}, scanner.ScanComments)
	var out strings.Builder
	for {
		_, kind, literal := s.Scan()
		if kind == token.EOF {
			return out.String()
		}
		fmt.Fprintf(&out, "%s %s\n", kind, literal)
	}
}
