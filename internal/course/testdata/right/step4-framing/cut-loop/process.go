package echo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"
)

const (
	headerSize = 4
	limit      = 1 << 20
)

var errNoFrame = errors.New("these bytes aren't a frame")

// A session is one client. It doesn't use package frame: it collects what
// arrives and cuts the frames off.
type session struct {
	*Server
	conn      net.Conn
	log       *slog.Logger
	collected []byte // a frame that isn't whole yet
	answers   []byte // of one Read
	timer     *time.Timer
}

func (s *Server) process(conn net.Conn) {
	defer s.untrackConn(conn)
	c := &session{Server: s, conn: conn, log: s.log().With("from", conn.RemoteAddr().String())}
	if s.IdleTimeout > 0 {
		// The timer and Shutdown only ever set a deadline in the past, so
		// neither undoes what the other has done.
		c.timer = time.AfterFunc(s.IdleTimeout, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
		defer c.timer.Stop()
	}
	err := c.serve()
	stopped := s.isStopping() && errors.Is(err, os.ErrDeadlineExceeded)
	if err != nil && !stopped {
		c.log.Warn("client disconnected", "why", err)
	}
}

// serve returns nil if the client left between two messages.
func (c *session) serve() error {
	piece := make([]byte, 16<<10)
	for {
		n, readErr := c.conn.Read(piece)
		begun := len(c.collected) > 0
		c.collected = append(c.collected, piece[:n]...)
		whole, cutErr := c.cut()
		restart := c.timer != nil && (whole || n > 0 && !begun)
		if restart {
			c.timer.Stop() // the client isn't silent while Write waits for it
		}
		if err := c.send(); err != nil {
			return err
		}
		if restart {
			c.timer.Reset(c.IdleTimeout) // for the next frame, or for the rest of this one
		}
		switch {
		case cutErr != nil:
			return cutErr
		case readErr == io.EOF && len(c.collected) > 0:
			return fmt.Errorf("left after %d bytes of a frame", len(c.collected))
		case readErr == io.EOF:
			return nil
		case readErr != nil:
			return readErr
		}
	}
}

// cut takes all whole frames from what was collected and prepares their
// answers.
func (c *session) cut() (any bool, err error) {
	rest := c.collected
	for len(rest) >= headerSize {
		length := binary.BigEndian.Uint32(rest)
		if length > limit {
			err = errNoFrame
			break
		}
		size := headerSize + int(length)
		if len(rest) < size {
			break
		}
		c.log.Debug("a message came", "text", string(rest[headerSize:size]))
		c.answers = append(c.answers, rest[:size]...)
		rest = rest[size:]
		any = true
	}
	if len(rest) < len(c.collected) {
		c.collected = append(c.collected[:0], rest...)
	}
	return any, err
}

// send sends the answers in pieces of 64 KiB. Each has WriteTimeout.
func (c *session) send() error {
	rest := c.answers
	c.answers = c.answers[:0]
	for len(rest) > 0 {
		if c.WriteTimeout > 0 {
			c.conn.SetWriteDeadline(time.Now().Add(c.WriteTimeout))
		}
		n, err := c.conn.Write(rest[:min(len(rest), 64<<10)])
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
