package echo

import (
	"io"
	"net"
	"sync"
	"time"
)

// A clientConn is a connection whose deadlines are set by those who use it, in
// the only two places where it is used.
type clientConn struct {
	net.Conn
	idle, write time.Duration

	mu   sync.Mutex
	last bool // there is no message to be read any more
}

// Read waits for a message, unless there is to be none any more.
func (c *clientConn) Read(p []byte) (int, error) {
	if err := c.wait(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *clientConn) wait() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last {
		return ErrServerClosed
	}
	return c.Conn.SetReadDeadline(later(c.idle))
}

func (c *clientConn) Write(p []byte) (int, error) {
	c.Conn.SetWriteDeadline(later(c.write))
	return c.Conn.Write(p)
}

// endSoon lets the message that has been read be answered, and no other one be
// read.
func (c *clientConn) endSoon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last {
		c.last = true
		c.Conn.SetReadDeadline(time.Unix(1, 0)) // long ago
	}
}

// end closes the connection when the client has hung up, too, or after a
// moment: what it has sent meanwhile is read, so that nothing that was written
// is lost by a reset.
func (c *clientConn) end() {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		c.mu.Lock()
		c.last = true // so that endSoon doesn't cut this short
		c.mu.Unlock()
		c.Conn.SetReadDeadline(later(500 * time.Millisecond))
		io.Copy(io.Discard, c.Conn)
	}
	c.Close()
}

// later returns the moment after d, or, if d is 0, the one that never comes.
func later(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}
