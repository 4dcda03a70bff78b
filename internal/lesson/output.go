package lesson

import (
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// CaptureOutput sends what the learner's program prints in this process to a file,
// so that it does not stand between the test's own lines, until restore is called.
// text returns what it has printed so far.
func CaptureOutput(t *testing.T) (text func() string, restore func(), err error) {
	t.Helper()
	file, err := os.CreateTemp(os.Getenv(supervised), "output")
	if err != nil {
		return nil, nil, err
	}
	current.output = file.Name()
	current.save()
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = file, file
	log.SetOutput(file)
	text = func() string { return firstMiB(file.Name()) }
	restore = func() {
		os.Stdout, os.Stderr = stdout, stderr
		log.SetOutput(stderr)
		file.Close()
		os.Remove(file.Name())
	}
	return text, restore, nil
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

// ShowOutput adds to the failure of t what the learner's program printed, or the
// beginning and the end of it, and of each of its lines.
func ShowOutput(t *testing.T, text string) {
	t.Helper()
	showOutput(t.Output(), text)
}

func showOutput(w io.Writer, text string) {
	const head, tail, columns = 6, 2, 70
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return
	}
	lines := strings.Split(text, "\n")
	if over := len(lines) - head - tail; over > 1 {
		gap := fmt.Sprintf("… %d lines more …", over)
		lines = append(append(lines[:head:head], gap), lines[len(lines)-tail:]...)
	}
	fmt.Fprintln(w, "\n    the program printed:")
	for _, line := range lines {
		shown := []rune(printable(strings.TrimRight(line, "\r")))
		if len(shown) > columns {
			shown = append(shown[:columns], '…')
		}
		fmt.Fprintf(w, "      %s\n", string(shown))
	}
}

// printable returns line with its control characters, and bytes that are no UTF-8,
// as Go writes them in a string: a terminal must not obey them, nor hide them.
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
