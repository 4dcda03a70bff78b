package lesson

import (
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Output is what the learner's program prints in this process.
type Output struct {
	file           *os.File
	stdout, stderr *os.File // the real ones
}

// CaptureOutput sends what this process prints to a file, so that it doesn't
// stand between the test's own lines. The caller must call Restore.
func CaptureOutput(e *Exercise) *Output {
	e.Helper()
	file, err := os.CreateTemp(os.Getenv(supervised), "output")
	if err != nil {
		e.Fatalf("The test can't capture what the program prints: %v.", err)
	}
	current.output(file.Name())
	o := &Output{file, os.Stdout, os.Stderr}
	os.Stdout, os.Stderr = file, file
	log.SetOutput(file)
	return o
}

// String returns what the process has printed so far, at most the first MiB. It
// returns "" after Restore.
func (o *Output) String() string { return firstMiB(o.file.Name()) }

// Size returns how many bytes the process has printed so far.
func (o *Output) Size() int64 {
	info, err := o.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// Restore ends the capture and removes the file.
func (o *Output) Restore() {
	os.Stdout, os.Stderr = o.stdout, o.stderr
	log.SetOutput(o.stderr)
	o.file.Close()
	os.Remove(o.file.Name())
}

func firstMiB(name string) string {
	file, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	text, _ := io.ReadAll(io.LimitReader(file, 1<<20))
	return string(text)
}

// OutputText returns the lines that a failure adds about text, what the
// learner's program printed. Long output loses its middle. OutputText returns
// "" if the program printed nothing.
func OutputText(text string) string {
	const head, tail = 6, 2 // lines
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	if over := len(lines) - head - tail; over > 1 {
		gap := fmt.Sprintf("… %d more lines …", over)
		lines = append(append(lines[:head:head], gap), lines[len(lines)-tail:]...)
	}
	var out strings.Builder
	out.WriteString("\n    the program printed:\n")
	for _, line := range lines {
		fmt.Fprintf(&out, "      %s\n", shorten(printable(strings.TrimRight(line, "\r"))))
	}
	return out.String()
}

// shorten wraps a line that's too wide for the terminal. Words stay whole, so
// that people can search for an error's text. A word or a line that's longer
// than any error loses its middle.
func shorten(line string) string {
	// Continuation lines are indented by two blanks more than the first one.
	const first, columns, most = 80 - 10, 80 - 12, 4 * 70
	runes := []rune(line)
	if len(runes) <= first {
		return line
	}
	var words []string
	for _, word := range strings.Split(line, " ") {
		if w := []rune(word); len(w) > columns {
			word = string(slices.Concat(w[:42], []rune("…"), w[len(w)-25:]))
		}
		words = append(words, word)
	}
	runes = []rune(strings.Join(words, " "))
	if len(runes) > most {
		runes = slices.Concat(runes[:most/2], []rune(" … "), runes[len(runes)-most/2:])
	}
	return strings.ReplaceAll(wrapParagraph(string(runes), columns, columns), "\n", "\n        ")
}

// printable returns line with its control characters, and the bytes that aren't
// UTF-8, as Go writes them in a string. A terminal must neither obey nor hide
// them.
func printable(line string) string {
	var out strings.Builder
	for len(line) > 0 {
		r, size := utf8.DecodeRuneInString(line)
		if r == '\t' || unicode.IsPrint(r) && !(r == utf8.RuneError && size == 1) {
			out.WriteString(line[:size])
		} else {
			quoted := strconv.Quote(line[:size])
			out.WriteString(quoted[1 : len(quoted)-1])
		}
		line = line[size:]
	}
	return out.String()
}
