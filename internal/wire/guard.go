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
	// Right code does so once or twice.
	maxIdle = 1000

	// maxPieces is how many Writes may wait to be read. It leaves room for 1
	// MiB, written byte by byte, and is reached in a second by code that writes
	// forever.
	maxPieces = 2 << 20

	// maxBytes is how many bytes may wait to be read, which is far more than
	// any exercise needs.
	maxBytes = 64 << 20

	// maxWaiting is how many goroutines may wait in one call on one connection
	// or listener. Right code has one or two there, or one for each processor.
	maxWaiting = 500
)

// A guard ends goroutines of the code under test that would never end by
// themselves, and remembers the first thing that went wrong. A nil guard guards
// nothing.
//
// Two connections have nothing in common that both of them write to, neither
// here nor elsewhere in this package. Otherwise the race detector would take
// two goroutines that use two connections for synchronized, and miss what it's
// there to find.
type guard struct {
	over    atomic.Bool // the test is done: what uses the wire from now on ends
	cut     atomic.Bool // a goroutine was ended because the test was done
	mu      sync.Mutex
	counts  []*counter
	trouble string
}

// A counter counts the calls of Read, Write or Accept that the code under test
// makes at one place: code that calls isn't stuck. Its user holds a lock.
type counter struct{ n atomic.Int64 }

// counter returns a new one.
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

func (g *guard) report(trouble string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.trouble == "" && !g.over.Load() {
		g.trouble = trouble
	}
}

// first returns the first trouble, or "".
func (g *guard) first() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.trouble
}

func (g *guard) end() { g.over.Store(true) }

// enter counts a call of the code under test that does something, and ends the
// calling goroutine if the test is done. It doesn't let it run on with an
// error: it might end the whole process then.
func (g *guard) enter(calls *counter, does bool) {
	if g == nil {
		return
	}
	if does {
		calls.n.Store(calls.n.Load() + 1) // and not Add, by which one would wait for another
	}
	if g.over.Load() {
		g.cut.Store(true)
		runtime.Goexit()
	}
}

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

// idle counts calls in a row that were of no use, and ends the calling
// goroutine when there are too many of them.
func (g *guard) idle(times *int, useful bool, call string, err error) {
	if useful {
		*times = 0
		return
	}
	*times++
	if g == nil || *times < maxIdle {
		return
	}
	what, why := because(err)
	g.report(fmt.Sprintf("%s was called %d times in a row, and each call returned %s at once.\n\n"+
		"That's a busy loop, which burns a whole CPU: %s.", call, *times, what, why))
	runtime.Goexit()
}

// crowd ends the calling goroutine if too many goroutines wait in the same call
// on one connection or listener.
func (g *guard) crowd(waiting int, call string) {
	if g == nil || waiting < maxWaiting {
		return
	}
	g.report(fmt.Sprintf("%d goroutines waited in %s at once, on the same connection or listener."+
		"\n\nA loop starts goroutines without end: each \"go\" returns at once, so nothing in "+
		"the loop waits. Call %s in the loop itself, and start a goroutine for what follows.",
		waiting, call, call))
	runtime.Goexit()
}

// flood ends the calling goroutine if it has written far more than is read.
func (g *guard) flood(pieces, bytes int) {
	if g == nil || pieces < maxPieces && bytes < maxBytes {
		return
	}
	g.report(fmt.Sprintf("Write was called %s, with %d bytes in all.\n\n"+
		"That's far more than was sent to the program: the loop around Write never ends.",
		count(pieces, "time"), bytes))
	runtime.Goexit()
}

// because says what a call returned that was of no use, and why it will again.
func because(err error) (what, why string) {
	switch {
	case err == nil:
		return "0 and nil", "the slice that Read was given has length 0"
	case err == errInputEnded:
		return "io.EOF", "the input has ended, and that's final"
	case err == io.EOF:
		return "io.EOF", "the peer has closed the connection, and that's final"
	case errors.Is(err, net.ErrClosed):
		return "net.ErrClosed", "the program itself has closed it, and that's final"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "os.ErrDeadlineExceeded", "the deadline has passed and wasn't moved forward"
	}
	return fmt.Sprintf("the error %q", err), "nothing in the loop waits until the error may be gone"
}
