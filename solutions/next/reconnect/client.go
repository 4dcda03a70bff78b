package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

const (
	limit    = 1 << 20 // bytes of a message
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
)

// A Client asks a server, and connects again when the connection breaks. It's
// for one goroutine at a time.
type Client struct {
	Addr   string
	Failed func(err error, pause time.Duration) // called before each pause, if set

	conn net.Conn // nil if there is none
	in   *frame.Reader
	out  *frame.Writer
}

// Ask sends message and returns the answer, however many connections it takes.
// If ctx is done first, it returns ctx's error. If the message or the answer
// exceeds the limit, it returns [frame.ErrTooLarge] at once.
//
// The answer is valid until the next Ask.
//
// The server may get a message more than once: if no answer comes, the client
// can't know whether the message arrived. So a message must do no harm when
// it's done twice, or carry a number by which the server recognizes it.
func (c *Client) Ask(ctx context.Context, message []byte) ([]byte, error) {
	pause := minPause
	for {
		answer, err := c.try(ctx, message)
		if err == nil {
			return answer, nil
		}
		c.Close()
		if errors.Is(err, frame.ErrTooLarge) {
			return nil, err // a new connection doesn't change that
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		// Half of the pause is random: a thousand clients that lost their
		// server together must not all come back at the same moment.
		wait := pause/2 + rand.N(pause/2)
		if c.Failed != nil {
			c.Failed(err, wait)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		pause = min(2*pause, maxPause)
	}
}

func (c *Client) try(ctx context.Context, message []byte) ([]byte, error) {
	if c.conn == nil {
		d := net.Dialer{Timeout: 5 * time.Second}
		conn, err := d.DialContext(ctx, "tcp", c.Addr)
		if err != nil {
			return nil, err
		}
		c.conn = conn
		c.in, c.out = frame.NewReader(conn, limit), frame.NewWriter(conn, limit)
	}
	// A Read knows no context. A deadline that has passed ends it.
	conn := c.conn
	conn.SetDeadline(time.Time{})
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()

	if err := c.out.WriteFrame(message); err != nil {
		return nil, err
	}
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	answer, err := c.in.ReadFrame()
	if err == io.EOF { // clean, but not what was asked for
		err = io.ErrUnexpectedEOF
	}
	return answer, err
}

// Close ends the connection, if there is one.
func (c *Client) Close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
