package echo

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// process serves one client until it leaves or the server disconnects it.
//
// The body is the document's, and so is the read buffer: a message stays whole
// if it has at most 128 bytes and arrives in one piece. Step 4 changes that.
func (s *Server) process(conn net.Conn) {
	defer s.untrackConn(conn)
	for {
		reader := bufio.NewReader(conn)
		var buf [128]byte
		if s.IdleTimeout > 0 {
			// A deadline is a moment, not a duration: move it for each message.
			conn.SetReadDeadline(time.Now().Add(s.IdleTimeout))
		}
		// Set the deadline, then look. If Shutdown has begun, its deadline may
		// just have been replaced, and isStopping says so. If Shutdown begins
		// after this line, its deadline replaces this one and ends Read.
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

// logEnd logs why a client is no longer served. It isn't a failure if the
// client left or if Shutdown ended its Read.
func (s *Server) logEnd(conn net.Conn, what string, err error) {
	switch {
	case errors.Is(err, io.EOF):
		s.log().Debug("client left", "client", conn.RemoteAddr())
	case s.isStopping() && isReadTimeout(err):
		s.log().Debug("client disconnected", "client", conn.RemoteAddr())
	default:
		s.log().Warn(what, "client", conn.RemoteAddr(), "err", err)
	}
}

// isReadTimeout reports whether a Read returned err because of its deadline. If
// a Write did, an answer is lost.
func isReadTimeout(err error) bool {
	var op *net.OpError
	isWrite := errors.As(err, &op) && op.Op == "write"
	return errors.Is(err, os.ErrDeadlineExceeded) && !isWrite
}
