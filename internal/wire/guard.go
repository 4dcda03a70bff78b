package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// maxIdle is how often in a row a call may return at once without a byte.
	// Right code makes one or two such calls.
	maxIdle = 1000

	// maxPieces is how many Writes may wait to be read. It leaves room for 1
	// MiB, written byte by byte. Code that writes forever gets there in a
	// second.
	maxPieces = 2 << 20

	// maxBytes is how many bytes may wait to be read: far more than any
	// exercise needs.
	maxBytes = 64 << 20

	// maxWaiting is how many goroutines may wait in one call on one connection
	// or listener. Right code has one or two there, or one per processor.
	maxWaiting = 500
)

// A guard ends goroutines of the code under test that would never end by
// themselves, and keeps the first trouble. Several goroutines may use it at
// once. The test's own end of a connection has none: for the methods that a
// Conn calls, a nil guard guards nothing.
//
// No two connections write to the same variable, neither here nor elsewhere in
// this package. Otherwise the race detector would take two goroutines on two
// connections for synchronized, and miss the learner's data races.
type guard struct {
	over    atomic.Bool // the test is done; a goroutine that uses the wire ends
	cut     atomic.Bool // a goroutine has ended because the test was done
	mu      sync.Mutex
	counts  []*counter
	trouble string
}

// A counter counts the calls of Read, Write or Accept on one connection, input
// or listener: code that calls isn't stuck. The lock of that connection, input
// or listener guards it against a second writer.
type counter struct{ n atomic.Int64 }

// counter returns a new counter.
func (g *guard) counter() *counter {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	c := new(counter)
	g.counts = append(g.counts, c)
	return c
}

// report keeps the message of a failure, unless there's an earlier one or the
// test is done.
func (g *guard) report(trouble string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.trouble == "" && !g.over.Load() {
		g.trouble = trouble
	}
}

// first returns the message of the first failure, or "".
func (g *guard) first() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.trouble
}

func (g *guard) end() { g.over.Store(true) }

// newest is the guard of the scenario that runs, or of the last one.
var newest atomic.Pointer[guard]

// enter begins a call of the code under test. It counts the call if it does
// something. It ends the calling goroutine if the test is done: with an error
// instead, the goroutine might exit the whole process. If that goroutine
// belongs to a later scenario, it has kept a connection of an earlier one.
func (g *guard) enter(calls *counter, does bool) {
	if g == nil {
		return
	}
	if does {
		calls.n.Store(calls.n.Load() + 1) // not Add, which would synchronize its callers
	}
	if g.over.Load() {
		g.cut.Store(true)
		if does && newest.Load() != g {
			newest.Load().report("The program used a connection whose client had left long ago." +
				"\n\nA package variable still holds it. What belongs to one client, such as its " +
				"connection, its reader and its buffer, belongs in local variables.")
		}
		runtime.Goexit()
	}
}

// count returns the sum of all counters.
func (g *guard) count() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	var n int64
	for _, c := range g.counts {
		n += c.n.Load()
	}
	return n
}

func (g *guard) isOver() bool { return g != nil && g.over.Load() }

// hasCut reports whether enter has ended a goroutine.
func (g *guard) hasCut() bool { return g.cut.Load() }

// idle counts, in times, useless calls in a row. When there are too many, it
// reports a busy loop and ends the calling goroutine. err is what the call
// returns.
func (g *guard) idle(times *int, useful bool, call string, err error) {
	if useful {
		*times = 0
		return
	}
	*times++
	if g == nil || *times < maxIdle {
		return
	}
	what, why := because(call, err)
	g.report(fmt.Sprintf("%s returned %s %d times in a row, each time at once.\n\n"+
		"That's a busy loop, which burns a whole CPU. %s", call, what, *times, why))
	runtime.Goexit()
}

// crowd ends the calling goroutine if too many goroutines already wait in the
// same call on one connection or listener.
func (g *guard) crowd(waiting int, call string) {
	if g == nil || waiting < maxWaiting {
		return
	}
	g.report(fmt.Sprintf("%d goroutines waited in %s at once, on the same connection or listener."+
		"\n\nA loop starts goroutines without end: a go statement returns at once, so the loop "+
		"never waits. Call %s in the loop itself, and start a goroutine for what follows.",
		waiting, call, call))
	runtime.Goexit()
}

// flood ends the calling goroutine, which has written, if far too much is
// unread.
func (g *guard) flood(pieces, bytes int) {
	if g == nil || pieces < maxPieces && bytes < maxBytes {
		return
	}
	g.report(fmt.Sprintf("Write was called %s, with %d bytes in total.\n\n"+
		"That's far more than the program received: the loop around Write never ends. "+
		"A loop that answers one message after another must call Read in each round.",
		count(pieces, "time"), bytes))
	runtime.Goexit()
}

// because returns what a useless call returned, and sentences that say why the
// next call returns it again and what the loop must do.
func because(call string, err error) (what, why string) {
	switch {
	case err == nil:
		return "0 and nil", "Read got a slice of length 0, so it has nothing to wait for."
	case err == errInputEnded:
		return "io.EOF", "The input has ended, so the loop must end as well."
	case err == io.EOF:
		return "io.EOF", "The other side has finished sending, so the loop must end. " +
			"A break inside a switch or select doesn't leave the loop: return does."
	case errors.Is(err, net.ErrClosed) && call == "Accept":
		return "net.ErrClosed", "The program had closed the listener itself, so the loop must end."
	case errors.Is(err, net.ErrClosed):
		return "net.ErrClosed", "The program had called Close itself, but the loop went on. " +
			"Call Close after the loop, and end the loop when Read or Write returns an error."
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "os.ErrDeadlineExceeded", "The deadline had passed, so every call " +
			"fails at once, and the loop must end. To go on with the connection, set a later " +
			"deadline first, or none if the timeout is 0."
	}
	why = "The connection is over, so the loop must end at any error, not only at io.EOF."
	if call == "Accept" {
		why = "The loop must wait before it tries again, or return the error."
	}
	return fmt.Sprintf("the error %q", err), why
}
