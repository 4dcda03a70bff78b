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

	// maxPieces is how many Writes may wait to be read. It leaves room for 1 MiB,
	// written byte by byte, and is reached in a second by code that writes for ever.
	maxPieces = 2 << 20

	// maxBytes is how many bytes may wait to be read, which is far more than any exercise asks for.
	maxBytes = 64 << 20
)

// A guard ends goroutines of the code under test that would never end by
// themselves, and remembers the first thing that went wrong. A nil guard guards
// nothing.
//
// Two connections have nothing in common that both of them write to, neither here
// nor elsewhere in this package. Otherwise the race detector would take two goroutines that use two
// connections for synchronized, and miss what it is there to find.
type guard struct {
	over    atomic.Bool // the test is done: whoever uses the wire from now on may go
	cut     atomic.Bool // a goroutine was ended because the test was done
	mu      sync.Mutex
	counts  []*counter
	trouble string
}

// A counter counts the calls of Read, Write or Accept that the code under test makes at one
// place: who calls is not stuck. Its user holds a lock.
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

// enter counts a call of the code under test that does something, and ends the calling
// goroutine if the test is done. It does not let it run on with an error, for who knows what it does then:
// it may end the whole process.
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

// idle counts calls in a row that were of no use, and ends the calling goroutine when
// there are too many of them.
func (g *guard) idle(times *int, useful bool, call string, err error) {
	if useful {
		*times = 0
		return
	}
	*times++
	if g == nil || *times < maxIdle {
		return
	}
	g.report(fmt.Sprintf("%s was called %d times in a row, and each time returned at once %s: "+
		"the loop goes round without end and keeps a processor busy", call, *times, because(err)))
	runtime.Goexit()
}

// flood ends the calling goroutine if it has written far more than is read.
func (g *guard) flood(pieces, bytes int) {
	if g == nil || pieces < maxPieces && bytes < maxBytes {
		return
	}
	g.report(fmt.Sprintf("Write was called %s, with %d bytes in all, far more than anybody has asked for: "+
		"the loop goes round without end", count(pieces, "time"), bytes))
	runtime.Goexit()
}

func because(err error) string {
	switch {
	case err == nil:
		return "with nothing, because the slice it was given has length 0"
	case err == errInputEnded:
		return "io.EOF, because the input has ended, which is final"
	case err == io.EOF:
		return "io.EOF, because the other side has closed the connection, which is final"
	case errors.Is(err, net.ErrClosed):
		return "net.ErrClosed, because the program itself has closed it, which is final"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "os.ErrDeadlineExceeded, because the deadline has passed and was not moved forward"
	}
	return fmt.Sprintf("the error %q", err)
}
