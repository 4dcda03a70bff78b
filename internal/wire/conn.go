package wire

import (
	"io"
	"math"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A Conn is one end of a connection in memory. It's a [net.Conn] that does what
// TCP does, with one difference: a Read never joins two pieces. It returns
// bytes of a single Write, or of a single piece of [Peer.Send]. Like a
// [net.TCPConn], a Conn has a CloseWrite. Several goroutines may call its
// methods at once.
//
// Its errors are those of a TCPConn on Linux: [io.EOF] as it is, everything
// else in a [*net.OpError]: [net.ErrClosed], [os.ErrDeadlineExceeded], and, as
// [*os.SyscallError], [syscall.ECONNRESET] and [syscall.EPIPE]. Only the first
// call after a reset returns ECONNRESET. Then Read returns io.EOF and Write
// EPIPE.
type Conn struct {
	link *link
	side Side
	peer *Conn // the other end
	name net.Addr

	in *stream // what the other end wrote and this end hasn't read

	closed    bool // this end was closed
	reset     bool // the other end has reset the connection
	told      bool // a call has returned ECONNRESET
	tellAgain bool // every call returns ECONNRESET, not only the first one
	sentAfter bool // something was written after the other end closed

	readDeadline  deadline
	writeDeadline deadline

	reading    int // goroutines that wait in Read
	writing    int // goroutines that wait in Write
	idleReads  int // Reads in a row that moved no byte and didn't wait
	idleWrites int // Writes in a row that failed at once
	guard      *guard
	calls      *counter

	onReadDeadline func() // called once, before the next read deadline is set
	onRead         func() // called once, when a Read has taken bytes
}

// A link is what the two ends share. Its lock guards both of them.
type link struct {
	mu      sync.Mutex
	changed sync.Cond
	picture *Picture
}

// A stream is one direction of a connection.
type stream struct {
	pieces [][]byte
	size   int  // bytes in pieces
	limit  int  // bytes that it holds before a Write waits
	ended  bool // the writer writes no more
}

// Pipe returns the two ends of a new connection. Neither direction has a limit,
// so a Write never waits until [Conn.SetReadBuffer] sets one.
func Pipe() (client, server *Conn) {
	return newPipe(clientName, nil)
}

var (
	clientName = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50000}
	serverName = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 20000}
)

func newPipe(clientName net.Addr, guard *guard) (client, server *Conn) {
	l := &link{picture: new(Picture)}
	l.changed.L = &l.mu
	client = &Conn{link: l, side: Client, name: clientName, in: &stream{limit: NoLimit},
		guard: guard, calls: guard.counter()}
	server = &Conn{link: l, side: Server, name: serverName, in: &stream{limit: NoLimit},
		guard: guard, calls: guard.counter()}
	client.peer, server.peer = server, client
	return client, server
}

// LocalAddr returns this end's address, a *net.TCPAddr: 127.0.0.1 and a port.
func (c *Conn) LocalAddr() net.Addr { return c.name }

// RemoteAddr returns the other end's LocalAddr.
func (c *Conn) RemoteAddr() net.Addr { return c.peer.name }

// NoLimit is the read buffer of a new Conn, in bytes.
const NoLimit = math.MaxInt

// SetReadBuffer sets how many unread bytes this end holds before the other
// end's Write waits. It returns nil.
func (c *Conn) SetReadBuffer(bytes int) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.in.limit = bytes
	c.link.changed.Broadcast()
	return nil
}

// Read reads at most len(p) bytes of one piece into p. It waits until a piece
// has arrived. Bytes that arrived before the other end closed or reset the
// connection come before the error.
func (c *Conn) Read(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.guard.enter(c.calls, true)
	c.guard.crowd(c.reading, "Read")
	waited := false
	for {
		n, err, ready := c.tryRead(p)
		if ready {
			c.guard.idle(&c.idleReads, n > 0 || waited, "Read", err)
			if n > 0 {
				c.call(&c.onRead)
			}
			return n, c.wrap("read", err)
		}
		waited = true
		c.wait(&c.reading)
		c.guard.enter(c.calls, true)
	}
}

// tryRead reports with ready whether Read returns now. The caller holds the
// lock.
func (c *Conn) tryRead(p []byte) (n int, err error, ready bool) {
	switch {
	case c.closed:
		return 0, net.ErrClosed, true
	case c.readDeadline.hasPassed():
		return 0, os.ErrDeadlineExceeded, true
	case len(p) == 0:
		return 0, nil, true
	case c.in.size > 0:
		n = c.in.take(p)
		c.link.changed.Broadcast() // there's room again
		return n, nil, true
	case c.reset && (!c.told || c.tellAgain):
		c.told = true
		return 0, syscall.ECONNRESET, true
	case c.in.ended:
		return 0, io.EOF, true
	}
	return 0, nil, false
}

// Write sends p to the other end as one piece, or as several if the other end's
// read buffer is too small. It waits until that buffer has taken all of p. An
// empty p sends nothing.
//
// As on TCP, the first Write after the other end closed succeeds. The other end
// answers with a reset, so the next Write fails.
func (c *Conn) Write(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.guard.enter(c.calls, len(p) > 0)
	written := 0
	waited := false
	for {
		n, err, ready := c.tryWrite(p[written:])
		written += n
		if ready {
			c.guard.idle(&c.idleWrites, written > 0 || waited || err == nil, "Write", err)
			return written, c.wrap("write", err)
		}
		if n == 0 {
			waited = true
			c.wait(&c.writing)
		}
	}
}

// tryWrite reports with ready whether Write returns now. The caller holds the
// lock.
func (c *Conn) tryWrite(p []byte) (n int, err error, ready bool) {
	out := c.peer.in
	switch {
	case c.closed:
		return 0, net.ErrClosed, true
	case c.writeDeadline.hasPassed():
		return 0, os.ErrDeadlineExceeded, true
	case c.guard.isOver():
		return 0, net.ErrClosed, true // the caller may hold a lock that others wait for
	case len(p) == 0:
		return 0, nil, true
	case c.reset && (!c.told || c.tellAgain):
		c.told = true
		return 0, syscall.ECONNRESET, true
	case out.ended, c.reset, c.sentAfter:
		return 0, syscall.EPIPE, true
	case c.peer.closed:
		c.sentAfter = true // the reset is on its way
		c.link.picture.Sent(c.side, p)
		c.link.picture.Note(c.side.Other(), "closed: nothing reads it")
		return len(p), nil, true
	}
	n = min(len(p), out.limit-out.size)
	if n <= 0 {
		return 0, nil, false
	}
	c.send(p[:n])
	c.guard.flood(len(out.pieces), out.size)
	return n, nil, n == len(p)
}

func (c *Conn) send(p []byte) {
	c.peer.in.put(p)
	c.link.picture.Sent(c.side, p)
	c.link.changed.Broadcast()
}

// CloseWrite closes this end's half of the connection. The other end reads
// io.EOF after everything in flight. This end can still read.
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

// Close closes both directions. Any blocked Read or Write of this end returns
// net.ErrClosed. The other end can still read what this end wrote. As on TCP,
// Close resets the connection if this end has unread bytes.
func (c *Conn) Close() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.wrap("close", net.ErrClosed)
	}
	c.close(c.in.size > 0)
	return nil
}

// Reset closes this end with a reset, as a TCPConn does after SetLinger(0). The
// other end reads what's in flight, then gets syscall.ECONNRESET.
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

// SetDeadline sets the deadlines of Read and Write. A zero t means no deadline.
func (c *Conn) SetDeadline(t time.Time) error {
	c.beforeReadDeadline()
	return c.setDeadline(t, &c.readDeadline, &c.writeDeadline)
}

// SetReadDeadline makes Read fail with os.ErrDeadlineExceeded from t on. A zero
// t means no deadline.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.beforeReadDeadline()
	return c.setDeadline(t, &c.readDeadline)
}

// SetWriteDeadline makes Write fail with os.ErrDeadlineExceeded from t on. A
// Write that it interrupts may have sent some of its bytes. A zero t means no
// deadline.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(t, &c.writeDeadline)
}

func (c *Conn) beforeReadDeadline() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.call(&c.onReadDeadline)
}

// call calls a function once, if there's one. The caller holds the lock, and
// the function doesn't.
func (c *Conn) call(once *func()) {
	f := *once
	*once = nil
	if f != nil {
		c.link.mu.Unlock()
		defer c.link.mu.Lock() // even if f panics, the caller will unlock it
		f()
	}
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

// wait releases the lock until something has changed. Meanwhile it counts the
// goroutine in waiting.
func (c *Conn) wait(waiting *int) {
	*waiting++
	c.link.changed.Wait()
	*waiting--
}

// wrap returns err as a TCPConn's method op returns it.
func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if errno, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError(op, errno)
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

// A deadline is the moment from which on calls fail. The link's lock guards it.
type deadline struct {
	at     time.Time
	passed bool // the timer fired; the clock may have been set back since
	timer  *time.Timer
	number int // how often it was set; an older timer may still fire
}

func (d *deadline) hasPassed() bool {
	return d.passed || !d.at.IsZero() && !time.Now().Before(d.at)
}

func (d *deadline) set(t time.Time, l *link) {
	d.stop()
	d.at, d.passed = t, false
	if t.IsZero() {
		return
	}
	number := d.number
	d.timer = time.AfterFunc(time.Until(t), func() {
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

// A SlowCloser is a connection that takes a second for CloseWrite, after the
// other end has learned of it.
type SlowCloser struct{ *Conn }

// CloseWrite closes this end's half of the connection, then waits.
func (c SlowCloser) CloseWrite() error {
	defer time.Sleep(time.Second)
	return c.Conn.CloseWrite()
}
