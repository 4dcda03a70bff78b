package wire

import (
	"net"
	"strings"
	"time"
)

// A Peer is the test's own end of a connection. Its methods belong to the
// goroutine of the test, and never block it.
//
// A method that waits does so until the code under test is at rest, and then
// for a second of the bubble's time at most: so code that pauses passes.
type Peer struct {
	t    *T
	conn *Conn // the test's end
}

const (
	patience = time.Second
	step     = 10 * time.Millisecond
)

// Send writes each piece as one Write would: the other side needs at least one
// Read for each. An empty piece sends nothing. Send never waits for room.
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

// Receive waits until something arrives, and then until nothing more has
// arrived for a tenth of a second. It returns all that has arrived since the
// last Receive, in one string; "" if nothing has.
func (p *Peer) Receive() string {
	p.t.Helper()
	return strings.Join(p.ReceivePieces(), "")
}

// ReceivePieces is Receive, with a string for each Write of the other side.
func (p *Peer) ReceivePieces() []string {
	p.t.Helper()
	pieces := p.Arrived()
	for waited := time.Duration(0); waited < patience; waited += step {
		if len(pieces) > 0 && waited >= patience/10 || p.isOver() {
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

// Arrived waits until the code under test is at rest and returns what has
// arrived, with a string for each Write of the other side. It lets no time
// pass.
func (p *Peer) Arrived() []string {
	p.t.Helper()
	var pieces []string
	for {
		p.use()
		p.t.Wait()
		more := p.conn.takeAll() // which makes room for a Write that waits
		if len(more) == 0 {
			return pieces
		}
		pieces = append(pieces, more...)
	}
}

// isOver reports whether nothing can arrive any more.
func (p *Peer) isOver() bool {
	p.conn.link.mu.Lock()
	defer p.conn.link.mu.Unlock()
	return p.conn.in.ended && p.conn.in.size == 0
}

// Ended waits until the other side has ended its half of the connection, by
// Close, CloseWrite or a reset, and all that it sent was received. It reports
// whether that's so.
func (p *Peer) Ended() bool {
	p.t.Helper()
	p.use()
	return p.t.Until(p.isOver)
}

// Closed waits until the other side has closed its end and so released what it
// held, and reports whether it has. CloseWrite doesn't do that.
func (p *Peer) Closed() bool {
	p.t.Helper()
	p.use()
	return p.t.Until(p.IsClosed)
}

// IsClosed reports, without waiting, whether the other side has closed its end.
// Any goroutine may call it.
func (p *Peer) IsClosed() bool {
	other := p.conn.peer
	other.link.mu.Lock()
	defer other.link.mu.Unlock()
	return other.closed
}

// WasReset waits until the other side has reset the connection, and reports
// whether it has: it closed while bytes that it had not read were waiting.
func (p *Peer) WasReset() bool {
	p.t.Helper()
	c := p.use()
	return p.t.Until(func() bool {
		c.link.mu.Lock()
		defer c.link.mu.Unlock()
		return c.reset
	})
}

// Close closes the connection. If something is there that Receive hasn't taken,
// that's a reset, as on TCP.
func (p *Peer) Close() { p.use().Close() }

// CloseWrite promises to send no more; the peer still receives.
func (p *Peer) CloseWrite() { p.use().CloseWrite() }

// Reset closes the connection abruptly, like a process that was killed or a
// machine that has forgotten the connection.
func (p *Peer) Reset() { p.use().Reset() }

// ResetAsOnWindows is Reset as Windows tells of it: at the other end each Read
// and each Write fails from then on, with the same error every time. On Linux
// only the first one does.
func (p *Peer) ResetAsOnWindows() {
	c := p.use()
	c.link.mu.Lock()
	c.peer.tellAgain = true
	c.link.mu.Unlock()
	c.Reset()
}

// Hold makes the peer one that takes no more than the given number of bytes
// before the next Receive: at more than that, the other side waits in Write.
// With [NoLimit] it takes everything again.
func (p *Peer) Hold(bytes int) { p.use().SetReadBuffer(bytes) }

// OnReadDeadline makes f run once, when the other side is about to set its next
// deadline for Read, in the goroutine that sets it. That goroutine may hold a
// lock, so f must not wait for others; it can give way to them by
// runtime.Gosched.
func (p *Peer) OnReadDeadline(f func()) {
	other := p.use().peer
	other.link.mu.Lock()
	defer other.link.mu.Unlock()
	other.onReadDeadline = f
}

// Unread waits until the code under test is at rest and returns how many bytes
// of what the peer sent were not read yet.
func (p *Peer) Unread() int {
	p.t.Helper()
	c := p.use().peer
	p.t.Wait()
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.in.size
}

// Addr is the peer's address, a *net.TCPAddr: what the other end's RemoteAddr
// returns.
func (p *Peer) Addr() net.Addr { return p.conn.name }

// use returns the test's end, and notes that the test has to do with it now.
func (p *Peer) use() *Conn {
	p.t.used = p.conn.peer
	return p.conn
}

// takeAll empties what has arrived, piece by piece, without waiting.
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
