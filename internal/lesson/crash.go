package lesson

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strconv"
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

// ReasonToWait says what a learner's goroutine in this process is doing now, as
// part of a failure's message: "it polls in a loop, with a Sleep at
// server.go:31". It's for a process in which nothing else happens any more.
func ReasonToWait() string {
	return reasonToWait(stacks())
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

// stacks returns the traces of all goroutines, or of the first few thousand.
func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

func reasonToWait(stacks string) string {
	lock, write, network, sleep, other, runs := "", "", "", "", "", ""
	for _, stack := range newestBubble(strings.Split(stacks, "\n\n")) {
		line := learnersLine.FindStringSubmatch("\n" + stack)
		state, _, _ := strings.Cut(stack, "\n")
		switch {
		case line == nil || strings.Contains(line[1], "_test.go:"):
		case strings.Contains(state, "Mutex"):
			lock = line[1]
		case strings.Contains(state, "[IO wait"):
			network = line[1]
		case strings.Contains(stack, "\ntime.Sleep("):
			sleep = line[1]
		case strings.Contains(stack, "/wire.(*Conn).Write("):
			write = line[1]
		case strings.Contains(state, "[chan ") || strings.Contains(state, "[select") ||
			strings.Contains(state, "WaitGroup") || strings.Contains(state, "[sync.Cond"):
			other = line[1]
		case strings.Contains(state, "[running") || strings.Contains(state, "[runnable"):
			runs = withCaller(stack)
		}
	}
	switch {
	case lock != "" && write != "":
		return fmt.Sprintf("it waits for a lock at %s. Another goroutine, which may hold that "+
			"lock, waits in Write at %s because its peer reads nothing", lock, write)
	case lock != "":
		return "it waits at " + lock + " for a lock that's still held"
	case network != "":
		return "it waits at " + network +
			" for a real network connection or listener, not for the one it was given"
	case sleep != "":
		return "it polls in a loop, with a Sleep at " + sleep
	case runs != "":
		return "it's in a busy loop at " + runs
	case other != "":
		return "it waits at " + other + " for a channel, a WaitGroup or a Cond"
	}
	return "it's in a busy loop, waits for a lock, or waits for a channel made at package level"
}

// withCaller returns the learner's line that a goroutine is at, and the line
// that called the function there, if it's the learner's as well: either may be
// the loop. "server.go:120, called at server.go:80".
func withCaller(stack string) string {
	calls, _, _ := strings.Cut("\n"+stack, "\ncreated by ")
	lines := distinctLines(calls)
	return strings.Join(lines[:min(2, len(lines))], ", called at ")
}

var bubble = regexp.MustCompile(`^goroutine [^\n]*synctest bubble (\d+)`)

// newestBubble returns the traces of the goroutines in the newest synctest
// bubble, or all traces if there's no bubble. Earlier bubbles may have left
// goroutines behind.
func newestBubble(stacks []string) []string {
	newest, in := 0, stacks
	for _, stack := range stacks {
		parts := bubble.FindStringSubmatch(stack)
		if parts == nil {
			continue
		}
		n, _ := strconv.Atoi(parts[1])
		if n > newest {
			newest, in = n, nil
		}
		if n == newest {
			in = append(in, stack)
		}
	}
	return in
}
