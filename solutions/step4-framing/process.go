package echo

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"time"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

// limit is the largest payload of a message, in bytes, in both directions.
const limit = 1 << 20

// process serves one client until it leaves, or is let go.
func (s *Server) process(conn net.Conn) {
	defer s.untrackConn(conn)
	c := newClient(s, conn)
	for {
		message, err := c.in.ReadFrame() // 读取数据
		if err == nil {
			c.reads = 0
			c.show(message)
			err = c.out.WriteFrame(message) // 发送数据
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

// A client is one of the server's clients. Its methods belong to process. It reads and writes for the frame.Reader and
// the frame.Writer, and sees to it that nobody waits for too long.
type client struct {
	s     *Server
	conn  net.Conn
	in    *frame.Reader
	out   *frame.Writer
	reads int // calls of Read since the last whole message
}

func newClient(s *Server, conn net.Conn) *client {
	c := &client{s: s, conn: conn}
	c.in = frame.NewReader(c, limit)
	c.out = frame.NewWriter(c, limit)
	return c
}

// Read is called when no whole message is left in c.in, so that it may have to wait. All answers are sent before
// that: the client may be waiting for one before it goes on. As long as there are messages left,
// their answers gather, and go together.
func (c *client) Read(p []byte) (int, error) {
	if err := c.out.Flush(); err != nil {
		return 0, err
	}
	if err := c.prepareToWait(); err != nil {
		return 0, err
	}
	// Let the others go first. Meanwhile this client's next messages may arrive, and then Read
	// finds them, instead of a reason to wait: that would be two more system calls and a
	// goroutine to be woken.
	runtime.Gosched()
	return c.conn.Read(p)
}

var errStopping = errors.New("the server is shutting down")

// prepareToWait sets the deadline of the next Read, unless Shutdown has begun.
func (c *client) prepareToWait() error {
	// There is IdleTimeout for the first bytes of a message, and once more for all the others: the deadline of
	// the second Read holds for those after it. Who sends a byte now and then gains nothing.
	if c.s.IdleTimeout > 0 && c.reads < 2 {
		c.conn.SetReadDeadline(time.Now().Add(c.s.IdleTimeout))
	}
	c.reads++
	// Set it, then look: the deadline of a Shutdown that comes between the two is in force in
	// Read, and one that came before, which this deadline has replaced, is seen here.
	if c.s.isStopping() {
		return errStopping
	}
	return nil
}

// Write is called with as many answers as there are, usually 128 KiB at the most.
func (c *client) Write(p []byte) (int, error) {
	if c.s.WriteTimeout > 0 {
		c.conn.SetWriteDeadline(time.Now().Add(c.s.WriteTimeout))
	}
	return c.conn.Write(p)
}

func (c *client) show(message []byte) {
	log := c.s.log()
	if log.Enabled(context.Background(), slog.LevelDebug) { // or else nobody needs the text
		log.Debug("收到client端发来的数据", "client", c.conn.RemoteAddr(), "message", string(message))
	}
}

// end tells the log why the client is no longer served, and sends the answers that are its due.
func (c *client) end(err error) {
	log, addr := c.s.log(), c.conn.RemoteAddr()
	switch {
	case err == io.EOF:
		log.Debug("client left", "client", addr)
	case errors.Is(err, errStopping), c.s.isStopping() && errors.Is(err, os.ErrDeadlineExceeded):
		log.Debug("client let go", "client", addr)
	default:
		log.Warn("client failed", "client", addr, "err", err)
	}
	c.out.Flush()
}
