package lesson

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// crashReason matches what Go prints about a crash, up to the traces. What the
// program printed just before may stand in front of it on the same line.
var crashReason = regexp.MustCompile(
	`(?m)^.*?(?:panic: (.*)|(fatal error: .*))(?:\n.*)*?` +
		`\n\ngoroutine \d+ (?:gp=\S+ )?(?:m=\S+ )?\[`)

// learnersLine matches the first line of code in one of the learner's folders
// in the traces of Go's goroutines: "\t/some/where/main.go:31 +0x45". The name
// of the function or of the file tells that it's the learner's: in a program,
// each function's name begins with "main.".
var learnersLine = regexp.MustCompile(`\n(?: *\S*/step[^\n]*\n\s+(?:[^\n]*[/\\])?|` +
	`\t[^\n]*[/\\]step\d-[^\n]*[/\\])([\w.-]+\.go:\d+)`)

// Crash finds the report of a crash in text, what a program printed to its
// standard error. It returns the learner's line and the reason:
// " at main.go:31: index out of range", or ": index out of range" without a
// line, or "" without a crash.
func Crash(text string) string {
	found := crashReason.FindStringSubmatchIndex(text)
	if found == nil {
		return ""
	}
	reason := submatch(text, found, 1) + submatch(text, found, 2)
	traces := text[strings.LastIndex(text[:found[1]], "\ngoroutine "):]
	if line := learnersLine.FindStringSubmatch(traces); line != nil {
		return fmt.Sprintf(" at %s: %s", line[1], reason)
	}
	return ": " + reason
}

func submatch(text string, found []int, n int) string {
	if found[2*n] < 0 {
		return ""
	}
	return text[found[2*n]:found[2*n+1]]
}

// WithoutTraces returns text without the traces of a crash. The crash's reason
// stays.
func WithoutTraces(text string) string {
	if found := crashReason.FindStringIndex(text); found != nil {
		text = text[:strings.LastIndex(text[:found[1]], "\n\ngoroutine ")] + "\n"
		text, _, _ = strings.Cut(text, "\n[signal ")
	}
	return text
}

// learnersLines returns the learner's lines that the traces in text name: ", at
// main.go:17 and main.go:21". It returns "" if there are none.
func learnersLines(text string) string {
	lines := distinctLines(text)
	if len(lines) == 0 {
		return ""
	}
	return ", at " + strings.Join(lines, " and ")
}

// distinctLines returns the learner's lines that the traces in text name, each
// once: "main.go:17", "main.go:21".
func distinctLines(text string) (lines []string) {
	for _, line := range learnersLine.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(line[1], "_test.go:") && !slices.Contains(lines, line[1]) {
			lines = append(lines, line[1])
		}
	}
	return lines
}

// Advice returns a sentence, with a space before it, about a crash that comes
// of a common mistake. It returns "" if it doesn't know the crash's reason.
func Advice(reason string) string {
	switch {
	case strings.Contains(reason, "not *net.TCPConn"):
		return " A net.Conn isn't always a *net.TCPConn. Ask first: tcp, ok := conn.(*net.TCPConn)."
	case strings.Contains(reason, "not *net.TCPListener"):
		return " A net.Listener isn't always a *net.TCPListener. Ask first: " +
			"tcp, ok := ln.(*net.TCPListener)."
	case strings.Contains(reason, "missing method CloseWrite"):
		return " A net.Conn needn't have CloseWrite. Ask first: " +
			"half, ok := conn.(interface{ CloseWrite() error })."
	}
	return ""
}

// Panicking returns the learner's line at which a goroutine panicked, while its
// deferred calls are still running: "process.go:31". It returns "" if no
// goroutine is panicking.
func Panicking() string { return panicking(stacks()) }

func panicking(stacks string) string {
	for _, stack := range newestBubble(strings.Split(stacks, "\n\n")) {
		_, below, found := strings.Cut(stack, "\npanic(")
		if line := learnersLine.FindStringSubmatch(below); found && line != nil &&
			!strings.Contains(line[1], "_test.go:") {
			return line[1]
		}
	}
	return ""
}
