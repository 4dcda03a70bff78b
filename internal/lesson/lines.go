package lesson

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// maxHeld is how much of a crash's report a lineWriter keeps, in bytes. The
// traces of many goroutines can be endless.
const maxHeld = 1 << 20

// A lineWriter passes on whole lines. With holdsCrash, it passes on the lines
// before the report of a crash and keeps the rest in held.
type lineWriter struct {
	w          io.Writer
	holdsCrash bool

	mu     sync.Mutex
	rest   strings.Builder // a line without its end
	held   strings.Builder
	passed int // bytes
}

// maxPassed is how much a lineWriter passes on, in bytes: far more than all
// tests of a step print.
const maxPassed = 16 << 20

func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(string(p)) {
		l.rest.WriteString(line)
		if strings.HasSuffix(line, "\n") || l.rest.Len() > maxHeld {
			l.pass()
		}
	}
	return len(p), nil
}

func (l *lineWriter) pass() {
	line := l.rest.String()
	l.rest.Reset()
	switch {
	case l.held.Len() > maxHeld:
	case l.held.Len() > 0, l.holdsCrash && beginsCrash(line):
		l.held.WriteString(line)
	case l.passed < maxPassed:
		l.passed += len(line)
		io.WriteString(l.w, line)
	}
}

// beginsCrash reports whether Go's report of a crash may begin in the line.
// Output without a newline may stand before it.
func beginsCrash(line string) bool {
	return strings.Contains(line, "panic: ") || strings.Contains(line, "fatal error: ")
}

func (l *lineWriter) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rest.Len() > 0 {
		l.pass()
	}
}

// An indentWriter indents each line by four blanks, as t.Output does.
type indentWriter struct{ w io.Writer }

func (i indentWriter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		fmt.Fprintf(i.w, "    %s", line)
	}
	return len(p), nil
}
