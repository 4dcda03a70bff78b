package main

import (
	"net"
	"time"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

const limit = 1 << 20 // bytes of a message

// A Client sends a heartbeat in each interval: an empty frame. Step 4's server
// answers all frames, so the client gets one back. A server with an IdleTimeout
// keeps such a client, and a client that gets nothing for three intervals knows
// that the server is gone.
type Client struct {
	conn     net.Conn
	in       *frame.Reader
	out      *frame.Writer // may be used by several goroutines
	interval time.Duration
	done     chan struct{}
}

// NewClient returns a client that sends a heartbeat at each interval. It owns
// conn: Close closes it.
func NewClient(conn net.Conn, interval time.Duration) *Client {
	c := &Client{
		conn:     conn,
		in:       frame.NewReader(conn, limit),
		out:      frame.NewWriter(conn, limit),
		interval: interval,
		done:     make(chan struct{}),
	}
	go c.beat()
	return c
}

func (c *Client) beat() {
	ticker := time.NewTicker(c.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if c.Send(nil) != nil {
				return
			}
		case <-c.done:
			return
		}
	}
}

// Send sends a message.
func (c *Client) Send(message []byte) error {
	c.conn.SetWriteDeadline(time.Now().Add(3 * c.interval))
	if err := c.out.WriteFrame(message); err != nil {
		return err
	}
	return c.out.Flush()
}

// Receive returns the next message, skipping heartbeats. If no whole message
// and no heartbeat arrives within three intervals, the error is
// os.ErrDeadlineExceeded. The message is valid until the next Receive.
func (c *Client) Receive() ([]byte, error) {
	for {
		c.conn.SetReadDeadline(time.Now().Add(3 * c.interval))
		message, err := c.in.ReadFrame()
		if err != nil || len(message) > 0 {
			return message, err
		}
	}
}

// Close ends the connection. It's called once.
func (c *Client) Close() error {
	close(c.done)
	return c.conn.Close()
}
