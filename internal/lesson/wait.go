package lesson

import (
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// MustEnd waits until done is closed, when a call of the learner's code has
// returned. After a second and a half it aborts the exercise with the message:
// only the end of the process can stop such a call. On a busy machine that may
// be too short for any call, so MustEnd looks many times, however long that
// takes.
func MustEnd(done <-chan struct{}, message func() string) {
	for range 150 {
		select {
		case <-done:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	Abort(message(), "")
}

// ReasonToWait says what a learner's goroutine in this process is doing now, as
// part of a failure's message: "it polls in a loop, with a Sleep at
// server.go:31". It's for a process in which nothing else happens any more.
func ReasonToWait() string {
	var looks []string
	for range 5 { // a goroutine that polls is asleep in one of them
		looks = append(looks, stacks())
	}
	return reasonToWait(looks...)
}

// stacks returns the traces of all goroutines, or of the first few thousand.
func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

func reasonToWait(looks ...string) string {
	var lock, write, network, stuck, other string // as of the last look
	sleep, runs := "", ""
	running := map[string]int{} // by goroutine: in how many looks it ran
	for _, stacks := range looks {
		lock, write, network, stuck, other = "", "", "", "", ""
		for _, stack := range newestBubble(strings.Split(stacks, "\n\n")) {
			line := learnersLine.FindStringSubmatch("\n" + stack)
			goroutine, state, _ := strings.Cut(stack, " [")
			state, _, _ = strings.Cut(state, "\n")
			switch {
			case line == nil || strings.Contains(line[1], "_test.go:"):
			case strings.Contains(state, "Mutex"):
				lock = line[1]
			case strings.HasPrefix(state, "IO wait"):
				network = line[1]
			case strings.Contains(stack, "\ntime.Sleep("):
				sleep = line[1]
			case strings.Contains(stack, "/wire.(*Conn).Write("):
				write = line[1]
			case strings.HasPrefix(state, "chan ") || strings.HasPrefix(state, "select") ||
				strings.Contains(state, "WaitGroup") || strings.HasPrefix(state, "sync.Cond"):
				other = line[1]
				if strings.Contains(state, "bubble") && !strings.Contains(state, "(durable)") {
					stuck = line[1]
				}
			case strings.HasPrefix(state, "running") || strings.HasPrefix(state, "runnable"):
				if running[goroutine]++; running[goroutine] == len(looks) {
					runs = withCaller(stack)
				}
			}
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
	case runs != "": // it holds up the clock of the bubble, so others sleep on
		return "it's in a busy loop at " + runs
	case stuck != "": // and so does this one
		return "it waits at " + stuck + " for a channel, a WaitGroup or a Cond"
	case sleep != "":
		return "it polls in a loop, with a Sleep at " + sleep
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
