package echo

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

// limit is the largest payload of a message, in bytes, in both directions.
const limit = 1 << 20

// quietAfter is how long a client may be silent between two frames before the
// server gives its buffers back. Ten thousand idle clients, each with the
// buffers for its last frame, would hold gigabytes.
const quietAfter = time.Second

// maxWrite is how many bytes one Write sends, and so what a client must receive
// within WriteTimeout. One that receives a large answer steadily stays, one
// that receives a byte now and then doesn't.
const maxWrite = 128 << 10

// process serves one client until it leaves or the server disconnects it.
func (s *Server) process(conn net.Conn) {
	defer s.untrackConn(conn)
	c := newClient(s, conn)
	for {
		message, err := c.in.ReadFrame() // 读取数据
		if c.quiet && errors.Is(err, os.ErrDeadlineExceeded) {
			c.rest()
			continue
		}
		if err == nil {
			c.hasRead(message)
			c.show(message)
			err = c.out.WriteFrame(message) // 发送数据
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

// A client is one of the server's clients. Its methods belong to process. The
// frame.Reader and the frame.Writer read and write through it, and it makes
// sure that neither waits too long.
type client struct {
	s    *Server
	conn net.Conn
	in   *frame.Reader
	out  *frame.Writer

	received int       // bytes that ReadFrame has yet to return
	begun    bool      // the time for the rest of that frame runs
	quiet    bool      // the next timeout says that the client is quiet
	resting  bool      // the client is new or was quiet, and it has no buffers
	large    bool      // the buffers are worth collecting
	until    time.Time // the end of IdleTimeout
}

// newClient returns a new client, which is resting: its buffers are new. So its
// first Read has the whole IdleTimeout. Over TLS that Read does the handshake,
// which can't go on after a timeout.
func newClient(s *Server, conn net.Conn) *client {
	c := &client{s: s, conn: conn, resting: true}
	c.until = c.idleDeadline()
	c.renewBuffers()
	return c
}

// renewBuffers takes a new Reader and a new Writer, which have no buffers yet.
// The old ones must be empty.
func (c *client) renewBuffers() {
	c.in = frame.NewReader(c, limit)
	c.out = frame.NewWriter(c, limit)
}

var errStopping = errors.New("the server is shutting down")

// Read is called when c.in holds no whole frame, so it may have to wait. It
// flushes first, since the client may be waiting for an answer before it sends
// more. Until then, answers gather and go together.
func (c *client) Read(p []byte) (int, error) {
	if err := c.out.Flush(); err != nil {
		return 0, err
	}
	c.setReadDeadline()
	// Set the deadline, then look. If Shutdown has begun, its deadline may just
	// have been replaced, and isStopping says so. If Shutdown begins after this
	// line, its deadline replaces this one and ends Read.
	if c.s.isStopping() {
		return 0, errStopping
	}
	// Let other clients go first. Meanwhile this client's next frames may
	// arrive. Then Read finds them and needn't wait, which would cost two more
	// system calls and waking a goroutine.
	runtime.Gosched()
	n, err := c.conn.Read(p)
	c.received += n
	return n, err
}

// setReadDeadline sets the deadline of the next Read, unless it has one.
func (c *client) setReadDeadline() {
	switch {
	case c.begun:
		// The deadline holds for the whole frame: a client that sends a byte
		// now and then gains nothing.
		return
	case c.received > 0:
		c.begun, c.quiet = true, false
		c.until = c.idleDeadline()
	case !c.resting:
		c.until = c.idleDeadline()
		quietAt := time.Now().Add(quietAfter)
		if c.until.IsZero() || quietAt.Before(c.until) {
			c.quiet = true
			c.conn.SetReadDeadline(quietAt)
			return
		}
	}
	c.conn.SetReadDeadline(c.until)
}

// idleDeadline returns the end of an IdleTimeout that begins now. The zero time
// means no deadline.
func (c *client) idleDeadline() time.Time {
	if c.s.IdleTimeout == 0 {
		return time.Time{}
	}
	return time.Now().Add(c.s.IdleTimeout)
}

// rest gives the buffers back. They're empty: nothing was received since the
// last frame, and everything was sent before the wait.
func (c *client) rest() {
	c.renewBuffers()
	c.quiet, c.resting = false, true
	if c.large {
		c.large = false
		freeMemorySoon()
	}
}

// hasRead notes that ReadFrame has returned message.
func (c *client) hasRead(message []byte) {
	c.received -= frame.HeaderSize + len(message)
	c.begun, c.quiet, c.resting = false, false, false
	c.large = c.large || len(message) > 4096
}

var freeing atomic.Bool

// freeMemorySoon returns unused memory to the system within half a second. The
// garbage collector would do it in its own time, which on an idle server is
// minutes later. However many clients become quiet, it runs twice a second at
// most.
func freeMemorySoon() {
	if freeing.CompareAndSwap(false, true) {
		time.AfterFunc(500*time.Millisecond, func() {
			freeing.Store(false)
			debug.FreeOSMemory()
		})
	}
}

// Write is called with as many answers as there are, usually maxWrite at most.
func (c *client) Write(p []byte) (int, error) {
	if len(p) > maxWrite {
		return c.writePieces(p)
	}
	if c.s.WriteTimeout > 0 {
		c.conn.SetWriteDeadline(time.Now().Add(c.s.WriteTimeout))
	}
	return c.conn.Write(p)
}

// writePieces calls Write for each piece of p, so that each has a deadline of
// its own.
func (c *client) writePieces(p []byte) (written int, err error) {
	for piece := range slices.Chunk(p, maxWrite) {
		n, err := c.Write(piece)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (c *client) show(message []byte) {
	log := c.s.log()
	if log.Enabled(context.Background(), slog.LevelDebug) { // don't convert in vain
		log.Debug("收到client端发来的数据", "client", c.conn.RemoteAddr(), "message", string(message))
	}
}

// end logs why the client is no longer served, and sends the answers that are
// still in the buffer.
func (c *client) end(err error) {
	log, addr := c.s.log(), c.conn.RemoteAddr()
	switch {
	case errors.Is(err, io.EOF):
		log.Debug("client left", "client", addr)
	case errors.Is(err, errStopping),
		c.s.isStopping() && isReadTimeout(err):
		log.Debug("client disconnected", "client", addr)
	default:
		log.Warn("client failed", "client", addr, "err", err)
	}
	c.out.Flush()
}

// isReadTimeout reports whether a Read returned err because of its deadline. If
// a Write did, an answer is lost.
func isReadTimeout(err error) bool {
	var op *net.OpError
	isWrite := errors.As(err, &op) && op.Op == "write"
	return errors.Is(err, os.ErrDeadlineExceeded) && !isWrite
}
