package wire

import (
	"errors"
	"net"
	"strings"
	"testing/synctest"
	"time"
)

// A Peer is the test's own end of a connection, and never waits for long: what
// the code under test has not done once all of it has come to rest, it will not
// do. Its methods belong to the goroutine of the test.
type Peer struct {
	t        *T
	conn     *Conn // the test's end
	accepted bool  // the code under test has the other end
}

// Send writes each piece as one Write would: the other side needs at least one
// Read for each. An empty piece sends nothing.
func (p *Peer) Send(pieces ...string) {
	p.t.used = p.conn.peer
	for _, piece := range pieces {
		if _, err := p.conn.Write([]byte(piece)); err != nil {
			p.conn.link.picture.Note(p.conn.side, "cannot send: "+cause(err).Error())
		}
	}
}

// Receive waits until the code under test has come to rest, and returns all that
// has arrived since the last Receive, in one string; "" if nothing has.
//
// Where the code under test pauses with time.Sleep, Receive gives it a second of the
// bubble's time.
func (p *Peer) Receive() string {
	p.t.Helper()
	return strings.Join(p.ReceivePieces(), "")
}

// ReceivePieces is Receive, with a string for each Write of the other side.
func (p *Peer) ReceivePieces() []string {
	p.t.Helper()
	var pieces []string
	for {
		p.settle()
		got := p.conn.takeAll()
		if len(got) == 0 {
			break
		}
		pieces = append(pieces, got...)
	}
	if len(pieces) == 0 {
		p.conn.link.picture.Waited(p.conn.side)
	}
	return pieces
}

// Ended reports whether, all being at rest, the other side has ended its half of
// the connection, by Close, CloseWrite or a reset, so that no byte can come any more.
func (p *Peer) Ended() bool {
	p.t.Helper()
	p.settle()
	p.conn.link.mu.Lock()
	defer p.conn.link.mu.Unlock()
	return p.conn.in.ended && p.conn.in.size == 0
}

// WasReset reports whether the other side ended the connection with a reset: it
// closed while bytes that it had not read were waiting.
func (p *Peer) WasReset() bool {
	p.t.Helper()
	p.settle()
	p.conn.link.mu.Lock()
	defer p.conn.link.mu.Unlock()
	return p.conn.reset
}

// Close closes the connection. If there is something that Receive has not taken,
// that is a reset, as on TCP.
func (p *Peer) Close() { p.conn.Close() }

// CloseWrite promises to send no more; the peer still receives.
func (p *Peer) CloseWrite() { p.conn.CloseWrite() }

// Reset closes the connection the hard way: a process that was killed, a cable pulled.
func (p *Peer) Reset() { p.conn.Reset() }

// Hold makes the peer one that takes no more than the given number of bytes
// before the next Receive: more than that, and the other side waits in Write.
// 0 means any number again.
func (p *Peer) Hold(bytes int) { p.conn.SetReadBuffer(bytes) }

// Addr is the peer's address, a *net.TCPAddr: what the other end's RemoteAddr returns.
func (p *Peer) Addr() net.Addr { return p.conn.name }

// settle waits until the code under test waits for this connection, has closed it, or
// lets a second pass without doing either. It fails the exercise where that code
// panicked or was stopped.
func (p *Peer) settle() {
	p.t.Helper()
	p.t.used = p.conn.peer
	const patience, step = time.Second, 10 * time.Millisecond
	synctest.Wait()
	for waited := time.Duration(0); p.busyElsewhere() && waited < patience; waited += step {
		time.Sleep(step)
		synctest.Wait()
	}
	p.t.check()
}

func (p *Peer) busyElsewhere() bool {
	if !p.accepted || p.t.idle() {
		return false
	}
	p.conn.link.mu.Lock()
	defer p.conn.link.mu.Unlock()
	other := p.conn.peer
	return !other.closed && other.reading == 0 && other.writing == 0
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

// cause is err without what the net package puts around it.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
