package wire

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A Conn is one end of a connection in memory. It is a [net.Conn] that keeps to
// what TCP does, with one difference: it never joins what was written apart, so
// that a Read returns bytes of one Write, or of one piece of [Peer.Send], and no
// more. Like a [net.TCPConn] it has a CloseWrite.
//
// Its errors are a TCPConn's: [io.EOF] as it is, everything else in a
// [*net.OpError]: [net.ErrClosed], [os.ErrDeadlineExceeded],
// [syscall.ECONNRESET] and [syscall.EPIPE].
type Conn struct {
	link *link
	side Side
	peer *Conn // the other end
	name net.Addr

	in *stream // what the other end wrote and this one has not read

	closed    bool // this end was closed
	reset     bool // the other end has answered with a reset
	sentAfter bool // something was written after the other end closed

	readDeadline  deadline
	writeDeadline deadline

	reading int // goroutines that wait in Read
	writing int // goroutines that wait in Write
	idle    int // calls in a row that moved no byte and did not wait
	reads   int // calls of Read
	guard   *guard
}

// A link is what the two ends share: the lock over both, and the picture.
type link struct {
	mu      sync.Mutex
	changed sync.Cond
	picture *Picture
}

// A stream is one direction of a connection.
type stream struct {
	pieces [][]byte
	size   int  // bytes in pieces
	limit  int  // bytes that it holds before a Write waits; 0: no limit
	ended  bool // the writer has promised to write no more
}

// Pipe returns the two ends of a new connection: the client's and the server's.
// Neither direction has a limit, so that a Write never waits; see [Conn.SetReadBuffer].
func Pipe() (client, server *Conn) {
	return newPipe(clientName, serverName, nil)
}

var (
	clientName = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50000}
	serverName = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 20000}
)

func newPipe(clientName, serverName net.Addr, guard *guard) (client, server *Conn) {
	l := &link{picture: new(Picture)}
	l.changed.L = &l.mu
	client = &Conn{link: l, side: Client, name: clientName, in: new(stream), guard: guard}
	server = &Conn{link: l, side: Server, name: serverName, in: new(stream), guard: guard}
	client.peer, server.peer = server, client
	return client, server
}

// LocalAddr returns an address of the form 127.0.0.1:port, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return c.name }

// RemoteAddr returns the other end's LocalAddr.
func (c *Conn) RemoteAddr() net.Addr { return c.peer.name }

// SetReadBuffer sets how many bytes may wait to be read at this end before the
// other end's Write waits. 0, where it starts, means any number.
func (c *Conn) SetReadBuffer(bytes int) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.in.limit = bytes
	c.link.changed.Broadcast()
	return nil
}

// Read returns the bytes that are there, up to len(p) of them and of one piece,
// and waits while there are none. Bytes that arrived before the other end
// closed, or reset the connection, come before the error.
func (c *Conn) Read(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.guard.leave()
	c.reads++
	waited := false
	for {
		n, err, ready := c.tryRead(p)
		if ready {
			c.watch("Read", n, err, waited)
			return n, c.wrap("read", err)
		}
		waited = true
		c.wait(&c.reading)
	}
}

func (c *Conn) tryRead(p []byte) (n int, err error, ready bool) {
	switch {
	case c.closed:
		return 0, net.ErrClosed, true
	case c.readDeadline.passed:
		return 0, os.ErrDeadlineExceeded, true
	case len(p) == 0:
		return 0, nil, true
	case c.in.size > 0:
		n = c.in.take(p)
		c.link.changed.Broadcast() // there is room again
		return n, nil, true
	case c.reset:
		return 0, syscall.ECONNRESET, true
	case c.in.ended:
		return 0, io.EOF, true
	}
	return 0, nil, false
}

// Write makes p one piece for the other end, or, where a limit splits it, several.
// It returns when all of it fits below that limit. As on TCP, an empty p sends nothing, and the
// first Write to a peer that has gone succeeds: only its answer, a reset, makes
// the next one fail.
func (c *Conn) Write(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.guard.leave()
	written := 0
	waited := false
	for {
		n, err, ready := c.tryWrite(p[written:])
		written += n
		if ready {
			c.watch("Write", written, err, waited)
			return written, c.wrap("write", err)
		}
		if n == 0 {
			waited = true
			c.wait(&c.writing)
		}
	}
}

func (c *Conn) tryWrite(p []byte) (n int, err error, ready bool) {
	out := c.peer.in
	switch {
	case c.closed:
		return 0, net.ErrClosed, true
	case c.writeDeadline.passed:
		return 0, os.ErrDeadlineExceeded, true
	case len(p) == 0:
		return 0, nil, true
	case out.ended, c.reset, c.sentAfter:
		return 0, syscall.EPIPE, true
	case c.peer.closed:
		c.sentAfter = true // and the reset is on its way
		c.link.picture.Sent(c.side, p)
		c.link.picture.Note(c.side.Other(), "nobody is left to read it")
		return len(p), nil, true
	}
	n = len(p)
	if out.limit > 0 {
		n = min(n, out.limit-out.size)
	}
	if n <= 0 {
		return 0, nil, false
	}
	out.put(p[:n])
	c.guard.flood(len(out.pieces))
	c.link.picture.Sent(c.side, p[:n])
	c.link.changed.Broadcast()
	return n, nil, n == len(p)
}

// CloseWrite promises that this end writes no more: the other end reads io.EOF
// once it has read what is under way. Reading goes on.
func (c *Conn) CloseWrite() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.wrap("close", net.ErrClosed)
	}
	if !c.peer.in.ended {
		c.peer.in.ended = true
		c.link.picture.Closed(c.side, "writes no more")
		c.link.changed.Broadcast()
	}
	return nil
}

// Close closes both directions; what waits in a Read or Write of this end returns
// net.ErrClosed. What this end wrote can still be read at the other. As on TCP,
// closing while there are bytes that nobody has read resets the connection.
func (c *Conn) Close() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.wrap("close", net.ErrClosed)
	}
	c.close(c.in.size > 0)
	return nil
}

// Reset closes this end the hard way, as a TCPConn does with SetLinger(0): the
// other end reads what is under way, and then syscall.ECONNRESET.
func (c *Conn) Reset() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if !c.closed {
		c.close(true)
	}
}

func (c *Conn) close(reset bool) {
	unread := c.in.size
	c.closed = true
	c.in.drop()
	c.readDeadline.stop()
	c.writeDeadline.stop()
	if !c.peer.closed {
		switch {
		case reset && unread > 0:
			c.link.picture.Closed(c.side, "closes, "+count(unread, "byte")+" unread: a reset")
		case reset:
			c.link.picture.Closed(c.side, "resets")
		default:
			c.link.picture.Closed(c.side, "closes")
		}
	}
	if reset {
		c.peer.reset = true
	}
	c.peer.in.ended = true
	c.link.changed.Broadcast()
}

// SetDeadline sets both deadlines, as [net.Conn] has it.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setDeadline(t, &c.readDeadline, &c.writeDeadline)
}

// SetReadDeadline makes Read fail with os.ErrDeadlineExceeded from t on.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(t, &c.readDeadline)
}

// SetWriteDeadline makes Write fail with os.ErrDeadlineExceeded from t on. A
// Write that it interrupts may have written a part.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(t, &c.writeDeadline)
}

func (c *Conn) setDeadline(t time.Time, deadlines ...*deadline) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.wrap("set", net.ErrClosed)
	}
	for _, d := range deadlines {
		d.set(t, c.link)
	}
	c.link.changed.Broadcast()
	return nil
}

// wait gives up the lock until something has changed, and counts those who wait.
func (c *Conn) wait(waiting *int) {
	*waiting++
	defer func() { *waiting-- }()
	c.link.changed.Wait()
	c.guard.leave()
}

// watch stops a goroutine that calls again and again although nothing happens.
func (c *Conn) watch(call string, n int, err error, waited bool) {
	if n > 0 || waited {
		c.idle = 0
		return
	}
	c.idle++
	c.guard.idle(c.idle, call, err)
}

func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.name, Addr: c.peer.name, Err: err}
}

func (s *stream) put(p []byte) {
	s.pieces = append(s.pieces, append([]byte(nil), p...))
	s.size += len(p)
}

func (s *stream) take(p []byte) int {
	n := copy(p, s.pieces[0])
	s.size -= n
	if n < len(s.pieces[0]) {
		s.pieces[0] = s.pieces[0][n:]
	} else {
		s.pieces = s.pieces[1:]
	}
	return n
}

func (s *stream) drop() { s.pieces, s.size = nil, 0 }

// A deadline is a moment after which calls fail. The link's lock guards it.
type deadline struct {
	passed bool
	timer  *time.Timer
	number int // of times that it was set: an old timer may still be on its way
}

func (d *deadline) set(t time.Time, l *link) {
	d.stop()
	d.passed = false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.passed = true
		return
	}
	number := d.number
	d.timer = time.AfterFunc(left, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if d.number == number {
			d.passed = true
			l.changed.Broadcast()
		}
	})
}

func (d *deadline) stop() {
	d.number++
	if d.timer != nil {
		d.timer.Stop()
	}
}
