package echo

import (
	"io"
	"log/slog"
)

func (s *Server) handle(c *clientConn) {
	defer func() {
		c.end()
		defer s.lock()()
		delete(s.conns, c)
		s.changed.Broadcast()
	}()
	var buf [4096]byte
	for {
		n, err := c.Read(buf[:])
		if err != nil {
			if err != io.EOF {
				s.log(slog.LevelInfo, "gone", "client", c.RemoteAddr(), "err", err)
			}
			return
		}
		s.log(slog.LevelDebug, "message", "client", c.RemoteAddr(), "bytes", string(buf[:n]))
		if _, err := c.Write(buf[:n]); err != nil {
			s.log(slog.LevelInfo, "gone", "client", c.RemoteAddr(), "err", err)
			return
		}
	}
}
