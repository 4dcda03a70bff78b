package echo

import (
	"errors"
	"net"
	"os"
	"time"
)

func (s *Server) process(conn net.Conn, o *owner) {
	buf := make([]byte, 1024)
	for {
		if s.IdleTimeout > 0 {
			conn.SetReadDeadline(time.Now().Add(s.IdleTimeout))
		}
		// looked at after the deadline was set, which may have replaced that of
		// stop
		if o.isStopping() {
			return
		}
		n, err := conn.Read(buf)
		if n > 0 {
			s.logger().Debug("received", "from", conn.RemoteAddr(), "text", string(buf[:n]))
			if s.WriteTimeout > 0 {
				conn.SetWriteDeadline(time.Now().Add(s.WriteTimeout))
			}
			if _, err := conn.Write(buf[:n]); err != nil {
				s.logger().Info("cannot write", "to", conn.RemoteAddr(), "error", err)
				return
			}
		}
		if err != nil {
			s.logger().Debug("has left", "client", conn.RemoteAddr(), "why", err)
			return
		}
	}
}

// sayGoodbye closes conn so that no reset destroys what was written to it.
func sayGoodbye(conn net.Conn) {
	defer conn.Close()
	c, ok := conn.(interface{ CloseWrite() error })
	if !ok || c.CloseWrite() != nil {
		return
	}
	end := time.Now().Add(500 * time.Millisecond)
	for buf := make([]byte, 1024); ; {
		conn.SetReadDeadline(end) // once more, because stop may have replaced it
		_, err := conn.Read(buf)
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(end)) {
			return
		}
	}
}
