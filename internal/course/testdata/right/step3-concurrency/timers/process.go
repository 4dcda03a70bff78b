package echo

import (
	"io"
	"net"
	"time"
)

// process ends a client's Read by a timer, which each message starts anew.
func (s *Server) process(conn net.Conn) {
	defer s.untrackConn(conn)
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetKeepAlivePeriod(time.Minute)
	}
	idle := s.startTimer(conn)
	defer idle.Stop()
	buf := make([]byte, 4096)
	for !s.isStopping() {
		n, err := conn.Read(buf)
		idle.Stop()
		if n > 0 {
			s.log().Debug("read", "bytes", n, "text", string(buf[:n]))
			if !s.write(conn, buf[:n]) {
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				s.log().Info("no longer served", "client", conn.RemoteAddr(), "why", err)
			}
			return
		}
		if s.IdleTimeout > 0 {
			idle.Reset(s.IdleTimeout)
		}
	}
}

func (s *Server) startTimer(conn net.Conn) *time.Timer {
	timer := time.AfterFunc(max(s.IdleTimeout, time.Hour),
		func() { conn.SetReadDeadline(time.Now()) })
	timer.Stop()
	if s.IdleTimeout > 0 {
		timer.Reset(s.IdleTimeout)
	}
	return timer
}

func (s *Server) write(conn net.Conn, message []byte) (ok bool) {
	var deadline time.Time // never
	if s.WriteTimeout > 0 {
		deadline = time.Now().Add(s.WriteTimeout)
	}
	conn.SetWriteDeadline(deadline)
	if _, err := conn.Write(message); err != nil {
		s.log().Info("can't write", "client", conn.RemoteAddr(), "why", err)
		return false
	}
	return true
}
