package echo

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// process serves one client until it leaves, or is let go.
//
// The body is the document's, and so is its read buffer, which keeps messages of up to 128
// bytes whole that come in one piece; step 4 mends that.
func (s *Server) process(conn net.Conn) {
	defer s.untrackConn(conn)
	for {
		reader := bufio.NewReader(conn)
		var buf [128]byte
		if s.IdleTimeout > 0 {
			// A deadline is a moment, not a duration: it is moved forward for each message.
			conn.SetReadDeadline(time.Now().Add(s.IdleTimeout))
		}
		// Set it, then look: the deadline of a Shutdown that comes between the two is in force in
		// Read, and one that came before, which this deadline has replaced, is seen here.
		if s.isStopping() {
			return
		}
		n, err := reader.Read(buf[:]) // 读取数据
		if err != nil {
			s.logEnd(conn, "read from client failed", err)
			return
		}
		recvStr := string(buf[:n])
		s.log().Debug("收到client端发来的数据", "client", conn.RemoteAddr(), "message", recvStr)
		if s.WriteTimeout > 0 {
			conn.SetWriteDeadline(time.Now().Add(s.WriteTimeout))
		}
		if _, err := conn.Write([]byte(recvStr)); err != nil { // 发送数据
			s.logEnd(conn, "write to client failed", err)
			return
		}
	}
}

// logEnd tells the log why a client is no longer served. That a client has left, or is let go at a Shutdown, is no failure.
func (s *Server) logEnd(conn net.Conn, what string, err error) {
	switch {
	case err == io.EOF:
		s.log().Debug("client left", "client", conn.RemoteAddr())
	case s.isStopping() && errors.Is(err, os.ErrDeadlineExceeded):
		s.log().Debug("client let go", "client", conn.RemoteAddr())
	default:
		s.log().Warn(what, "client", conn.RemoteAddr(), "err", err)
	}
}
