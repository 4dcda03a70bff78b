package wire

import (
	"net"
	"strings"
	"time"
)

// A Peer is the test's own end of a connection. Only the test's goroutine may
// call its methods, except where noted. They never block it forever.
//
// A method that waits for something looks when the code under test is at rest,
// for at most a second of the bubble's time. So code that pauses passes.
type Peer struct {
	t    *T
	conn *Conn // the test's end
}

const (
	patience = time.Second
	step     = 10 * time.Millisecond
)

// Send sends each piece as one Write would: the other side needs at least one
// Read for each. An empty piece sends nothing. Send never waits, whatever the
// other side's read buffer holds.
func (p *Peer) Send(pieces ...string) {
	c := p.use()
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for _, piece := range pieces {
		switch {
		case piece == "":
		case c.closed, c.peer.closed, c.reset:
			c.link.picture.Sent(c.side, []byte(piece))
			c.link.picture.Note(c.side.Other(), "closed: nothing reads it")
		default:
			c.send([]byte(piece))
		}
	}
}

// endless is how many rounds Arrived takes, and how many pieces Receive
// collects, before they return although more may come.
const endless = 100_000

// Receive waits until something arrives, and then until nothing more has
// arrived for a tenth of a second. It returns everything since the last
// Receive, or "" if nothing arrived. From a program that sends without end, it
// returns what came within a minute of the bubble's time, or 100,000 pieces.
func (p *Peer) Receive() string {
	p.t.Helper()
	return strings.Join(p.ReceivePieces(), "")
}

// ReceivePieces is Receive, with a string for each Write of the other side.
func (p *Peer) ReceivePieces() []string {
	p.t.Helper()
	pieces := p.Arrived()
	begin := time.Now()
	for waited := time.Duration(0); waited < patience; waited += step {
		enough := waited >= patience/10 || time.Since(begin) > time.Minute || len(pieces) >= endless
		if len(pieces) > 0 && enough || p.isOver() {
			break
		}
		time.Sleep(step)
		if more := p.Arrived(); len(more) > 0 {
			pieces = append(pieces, more...)
			waited = 0
		}
	}
	if len(pieces) == 0 {
		p.conn.link.picture.Waited(p.conn.side)
	}
	return pieces
}

// Arrived waits until the code under test is at rest, and returns what has
// arrived, with a string for each Write of the other side. No time passes. From
// a program that sends without end, it returns a part.
func (p *Peer) Arrived() []string {
	p.t.Helper()
	var pieces []string
	for range endless {
		p.use()
		p.t.Wait()
		more := p.conn.takeAll() // this makes room for a blocked Write
		if len(more) == 0 {
			break
		}
		pieces = append(pieces, more...)
	}
	return pieces
}

// isOver reports whether nothing can arrive any more.
func (p *Peer) isOver() bool {
	p.conn.link.mu.Lock()
	defer p.conn.link.mu.Unlock()
	return p.conn.in.ended && p.conn.in.size == 0
}

// Ended waits until the other side has ended its half of the connection, by
// Close, CloseWrite or a reset, and the test has received everything. It waits
// for at most a second of the bubble's time, and reports whether both are so.
func (p *Peer) Ended() bool {
	p.t.Helper()
	p.use()
	return p.t.Until(p.isOver)
}

// Closed waits until the other side has closed its end, for at most a second of
// the bubble's time, and reports whether it has. CloseWrite isn't enough.
func (p *Peer) Closed() bool {
	p.t.Helper()
	p.use()
	return p.t.Until(p.IsClosed)
}

// IsClosed reports whether the other side has closed its end by now. Unlike
// Closed it doesn't wait. Any goroutine may call it.
func (p *Peer) IsClosed() bool {
	other := p.conn.peer
	other.link.mu.Lock()
	defer other.link.mu.Unlock()
	return other.closed
}

// WasReset waits until the other side has reset the connection, for at most a
// second of the bubble's time, and reports whether it has. A Close with unread
// bytes is a reset.
func (p *Peer) WasReset() bool {
	p.t.Helper()
	c := p.use()
	return p.t.Until(func() bool {
		c.link.mu.Lock()
		defer c.link.mu.Unlock()
		return c.reset
	})
}

// Close closes the connection. As on TCP, it's a reset if something has arrived
// that the test hasn't received.
func (p *Peer) Close() { p.use().Close() }

// CloseWrite closes the test's half of the connection. The test can still
// receive.
func (p *Peer) CloseWrite() { p.use().CloseWrite() }

// Reset closes the connection with a reset, as the kernel does for a process
// that's killed with bytes unread, or for a connection that it has forgotten.
func (p *Peer) Reset() { p.use().Reset() }

// ResetAsOnWindows is Reset as Windows reports it: every later Read and Write
// at the other end fails with ECONNRESET. On Linux only the first one does.
func (p *Peer) ResetAsOnWindows() {
	c := p.use()
	c.link.mu.Lock()
	c.peer.tellAgain = true
	c.link.mu.Unlock()
	c.Reset()
}

// Hold sets how many bytes the other side can send before the next Receive. At
// more than that, it waits in Write. [NoLimit] lifts the limit.
func (p *Peer) Hold(bytes int) { p.use().SetReadBuffer(bytes) }

// OnReadDeadline makes the other side call f once, just before it sets its next
// read deadline. The calling goroutine may hold a lock, so f must not wait for
// other goroutines. It can yield to them with runtime.Gosched.
func (p *Peer) OnReadDeadline(f func()) {
	other := p.use().peer
	other.link.mu.Lock()
	defer other.link.mu.Unlock()
	other.onReadDeadline = f
}

// OnRead makes the other side call f once, when a Read has taken bytes and is
// about to return.
func (p *Peer) OnRead(f func()) {
	other := p.use().peer
	other.link.mu.Lock()
	defer other.link.mu.Unlock()
	other.onRead = f
}

// Unread waits until the code under test is at rest, and returns how many of
// the test's bytes it hasn't read yet.
func (p *Peer) Unread() int {
	p.t.Helper()
	c := p.use().peer
	p.t.Wait()
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.in.size
}

// Addr returns the test's address, a *net.TCPAddr, as the other end's
// RemoteAddr does.
func (p *Peer) Addr() net.Addr { return p.conn.name }

// use returns the test's end, and notes that the test used this connection
// last.
func (p *Peer) use() *Conn {
	p.t.used = p.conn.peer
	return p.conn
}

// takeAll removes and returns the pieces that have arrived, without waiting.
func (c *Conn) takeAll() []string {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	var pieces []string
	for _, piece := range c.in.pieces {
		pieces = append(pieces, string(piece))
	}
	if len(pieces) > 0 {
		c.in.drop()
		c.link.changed.Broadcast()
	}
	return pieces
}
