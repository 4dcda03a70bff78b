package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

// limit is the largest payload of a message, in bytes, in both directions.
const limit = 1 << 20

// lingering is how long a client may take to hang up once the server has.
const lingering = 500 * time.Millisecond

// process serves one client until it leaves, or is let go. It owns conn, and closes it.
func (s *Server) process(conn net.Conn) {
	defer conn.Close() // 关闭连接
	c := &client{conn: conn, s: s}
	c.out = frame.NewWriter(writer{c}, limit)
	in := frame.NewReader(c, limit)
	for {
		message, err := in.ReadFrame() // 读取数据
		if err != nil {
			c.end(err)
			return
		}
		c.reads = 0
		if log := s.log(); log.Enabled(context.Background(), slog.LevelDebug) { // so that nobody pays for a text that is not shown
			log.Debug("收到client端发来的数据", "client", conn.RemoteAddr(), "message", string(message))
		}
		if err := c.out.WriteFrame(message); err != nil { // 发送数据
			c.end(err)
			return
		}
	}
}

// A client is what the server knows of one of its clients. Its methods belong to process.
type client struct {
	conn  net.Conn
	s     *Server
	out   *frame.Writer
	reads int // since the last whole message
}

var errStopping = errors.New("the server is shutting down")

// Read reads from the connection for the frame.Reader, which calls it when it has no whole message left, so that
// it may have to wait. All answers are sent before that: the client may be waiting for one
// before it goes on. And while it does not wait, answers go together.
func (c *client) Read(p []byte) (int, error) {
	if err := c.out.Flush(); err != nil {
		return 0, err
	}
	// There is IdleTimeout for the first bytes of a message, and once more for all the others: the deadline of the
	// second Read holds for those after it. A client that sends a byte now and then gains nothing.
	if c.s.IdleTimeout > 0 && c.reads < 2 {
		c.conn.SetReadDeadline(time.Now().Add(c.s.IdleTimeout))
	}
	c.reads++
	// Set it, then look: the deadline of a Shutdown that comes between the two is in force in
	// Read, and one that came before, which this deadline has replaced, is seen here.
	if c.s.isStopping() {
		return 0, errStopping
	}
	return c.conn.Read(p)
}

// A writer writes to the client's connection for the frame.Writer.
type writer struct{ *client }

// Write gives up when the client takes nothing for as long as WriteTimeout. As long as it takes something, it
// may take its time: a message can be large, and a network slow.
func (w writer) Write(p []byte) (written int, err error) {
	for {
		if w.s.WriteTimeout > 0 {
			w.conn.SetWriteDeadline(time.Now().Add(w.s.WriteTimeout))
		}
		n, err := w.conn.Write(p[written:])
		written += n
		if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
	}
}

// end tells the log why a client is no longer served, and lets it have the answers that are its due.
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
	if c.out.Flush() == nil && err != io.EOF {
		c.hangUp()
	}
}

// hangUp ends the connection from this side, and reads what the client has still sent: to close with bytes
// unread is a reset, which may overtake the answers and destroy them (RFC 1122, section 4.2.2.13).
func (c *client) hangUp() {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		c.conn.SetReadDeadline(time.Now().Add(lingering))
		io.Copy(io.Discard, c.conn)
	}
}
