package lesson

import (
	"strings"
	"unicode/utf8"
)

// Where a line of a message ends, in runes, so that all of it fits into 80
// columns behind what go test puts in front: eight blanks, or, on the first
// line, four blanks and "1_readbuffer_test.go:123: ".
const (
	width      = 80 - 8
	firstWidth = 80 - 4 - 26
)

// messageOf returns the message of a failure of testify, and any other text
// unchanged. ok is false for a failure without a message.
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
	var out strings.Builder
	column, limit := 0, first
	newline := func() {
		out.WriteByte('\n')
		column, limit = 0, width
	}
	lines := strings.Split(dedent(text), "\n")
	for i, line := range lines {
		verbatim := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		if line == "" || verbatim || i > 0 && lines[i-1] == "" {
			if i > 0 {
				newline()
			}
			if line == "" || verbatim {
				out.WriteString(line)
				column = limit // what follows begins on a line of its own
				continue
			}
		}
		for _, word := range strings.Split(line, " ") {
			length := utf8.RuneCountInString(word)
			switch {
			case column == 0:
			case column+1+length > limit:
				newline()
			default:
				out.WriteByte(' ')
				column++
			}
			out.WriteString(word)
			column += length
		}
	}
	return out.String()
}

// dedent takes the tabs off the lines that the first line has, or the next one
// if a raw string begins beside its quotation mark. It takes empty lines off
// both ends.
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

// wrapAt breaks one paragraph into lines of at most n runes, at its blanks.
func wrapAt(text string, n int) string {
	var out strings.Builder
	column := 0
	for i, word := range strings.Split(text, " ") {
		length := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+length > n:
			out.WriteByte('\n')
			column = 0
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += length
	}
	return out.String()
}
