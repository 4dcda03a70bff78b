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
// in the traces of Go's goroutines: "\t/some/where/main.go:31 +0x45".
var learnersLine = regexp.MustCompile(`\n *\S*/step[^\n]*\n\s+(?:[^\n]*[/\\])?(\w+\.go:\d+)`)

// Crash says at which of the learner's lines, and why, a program crashed that
// printed the text to its standard error: " at main.go:31: index out of range".
// It returns "" if the text doesn't tell of a crash.
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

// WithoutTraces returns text without the traces of a crash, but with its
// reason.
func WithoutTraces(text string) string {
	if found := crashReason.FindStringIndex(text); found != nil {
		text = text[:strings.LastIndex(text[:found[1]], "\n\ngoroutine ")] + "\n"
		text, _, _ = strings.Cut(text, "\n[signal ")
	}
	return text
}

// Lines says which of the learner's lines the traces in text name: ", at
// main.go:17 and main.go:21". It returns "" if there are none.
func Lines(text string) string {
	var places []string
	for _, line := range learnersLine.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(line[1], "_test.go:") && !slices.Contains(places, line[1]) {
			places = append(places, line[1])
		}
	}
	if len(places) == 0 {
		return ""
	}
	return ", at " + strings.Join(places, " and ")
}

// ReasonToWait says what one of the learner's goroutines in this process waits
// for that never comes: "it waits for a lock at server.go:31, …".
func ReasonToWait() string {
	return reasonToWait(stacks())
}

// Panicking returns the learner's line at which a goroutine panicked that still
// runs deferred calls: "process.go:31". It returns "" if there's none.
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
			runs = line[1]
		}
	}
	switch {
	case lock != "" && write != "":
		return fmt.Sprintf("it waits for a lock at %s while another goroutine, which may hold "+
			"the lock, waits in Write at %s for a client that takes nothing", lock, write)
	case lock != "":
		return "it waits at " + lock + " for a lock that's never released"
	case network != "":
		return "it waits at " + network +
			" for a real connection or listener, not for the one it was given"
	case sleep != "":
		return "it polls at " + sleep + ", with a Sleep in between, for something to change"
	case runs != "":
		return "it's in a busy loop at " + runs
	case other != "":
		return "it waits at " + other + " for a channel, a WaitGroup or a Cond"
	}
	return "it's in a busy loop, or waits for a lock, or for a channel made at package level"
}

var bubble = regexp.MustCompile(`^goroutine [^\n]*synctest bubble (\d+)`)

// newestBubble returns the traces of the goroutines in the newest synctest
// bubble, or all of them if there's none: others may have been left in earlier
// ones.
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
