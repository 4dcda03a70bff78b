package lesson

import (
	"strings"
	"unicode/utf8"
)

// The most runes in a line of a message. In front of it go test puts eight
// blanks, or four blanks and "1_readbuffer_test.go:123: " on the first line.
// All of that fits into 80 columns.
const (
	width      = 80 - 8
	firstWidth = 80 - 4 - 26
)

// messageOf returns the message of a testify failure, and any other text
// unchanged. ok is false if a testify failure has no message.
func messageOf(text string) (message string, ok bool) {
	if !strings.HasPrefix(text, "\n\tError Trace:") {
		return text, true
	}
	const label = "\n\tMessages:   \t"
	_, message, ok = strings.Cut(text, label)
	if !ok {
		return text, false
	}
	// testify lines up the lines of a message with its first one.
	indent := "\n\t" + strings.Repeat(" ", len(label)-len("\n\t\t")) + "\t"
	return strings.ReplaceAll(message, indent, "\n"), true
}

// wrap breaks text into lines of at most width runes, the first one of at most
// first. It takes off the indentation that a raw string shares with the code
// around it, and joins the lines of a paragraph. A line that's indented further
// stays as it is.
func wrap(text string, first int) string {
	var out []string
	lines := strings.Split(dedent(text), "\n")
	for i := 0; i < len(lines); {
		end := i
		for end < len(lines) && !staysAsIs(lines[end]) {
			end++
		}
		if end == i {
			out = append(out, lines[i])
			i++
			continue
		}
		limit := width
		if i == 0 {
			limit = first
		}
		out = append(out, wrapParagraph(strings.Join(lines[i:end], " "), limit, width))
		i = end
	}
	return strings.Join(out, "\n")
}

// staysAsIs reports whether a line is no part of a paragraph.
func staysAsIs(line string) bool {
	return line == "" || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
}

// wrapParagraph breaks text at its blanks into lines of at most rest runes, the
// first one of at most first. A longer word has a line of its own.
func wrapParagraph(text string, first, rest int) string {
	var out strings.Builder
	column, limit := 0, first
	for i, word := range strings.Split(text, " ") {
		length := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+length > limit:
			out.WriteByte('\n')
			column, limit = 0, rest
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += length
	}
	return out.String()
}

// dedent takes the first line's tabs off each line, or the next line's tabs if
// a raw string begins beside its quotation mark. It takes empty lines off both
// ends.
func dedent(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r")
	}
	tabs := 0
	for i, line := range lines {
		if tabs = len(line) - len(strings.TrimLeft(line, "\t")); line != "" && (tabs > 0 || i > 0) {
			break
		}
	}
	for i, line := range lines {
		for n := 0; n < tabs && strings.HasPrefix(line, "\t"); n++ {
			line = line[1:]
		}
		lines[i] = line
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
