package echo

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// A watcher looks every 10 ms whether its client has been silent for too long.
type watcher struct {
	conn    net.Conn
	waiting atomic.Int64 // since when Read waits, in Unix nanoseconds, or 0
	done    chan struct{}
}

func (w *watcher) watch(timeout time.Duration) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-w.done:
			return
		case now := <-ticker.C:
			since := w.waiting.Load()
			if since != 0 && now.UnixNano()-since >= int64(timeout) &&
				w.waiting.CompareAndSwap(since, 0) {
				w.conn.SetReadDeadline(now)
				return
			}
		}
	}
}

// process serves one client. Its read buffer holds 4 KiB.
func (s *Server) process(conn net.Conn) {
	defer s.untrackConn(conn)
	w := &watcher{conn: conn, done: make(chan struct{})}
	if s.IdleTimeout > 0 {
		go w.watch(s.IdleTimeout)
	}
	defer close(w.done)
	buf := make([]byte, 4096)
	for !s.isStopping() {
		w.waiting.Store(time.Now().UnixNano())
		n, err := conn.Read(buf)
		w.waiting.Store(0)
		if n > 0 {
			if s.answer(conn, buf[:n]) != nil {
				return
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			s.log().Warn("read failed", "client", conn.RemoteAddr(), "err", err)
			return
		}
	}
}

func (s *Server) answer(conn net.Conn, message []byte) error {
	s.log().Debug("received", "client", conn.RemoteAddr(), "message", string(message))
	if s.WriteTimeout > 0 {
		conn.SetWriteDeadline(time.Now().Add(s.WriteTimeout))
	}
	_, err := conn.Write(message)
	if err != nil {
		s.log().Warn("write failed", "client", conn.RemoteAddr(), "err", err)
	}
	return err
}
