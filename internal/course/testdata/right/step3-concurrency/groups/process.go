package echo

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

func (s *Server) serveOne(conn net.Conn) {
	// Whatever the reader is doing, it does not outlive its client.
	var reader sync.WaitGroup
	defer reader.Wait()
	defer conn.Close()
	defer context.AfterFunc(s.killing, func() { conn.Close() })()
	defer drain(conn, &reader)

	left := make(chan struct{})
	defer close(left)
	messages := make(chan string)
	reader.Go(func() {
		defer close(messages)
		for {
			buf := make([]byte, 256)
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			select {
			case messages <- string(buf[:n]):
			case <-left:
				return
			}
		}
	})

	ending := s.ending.Done()
	for {
		var impatient <-chan time.Time // nil, which never comes, if there is no timeout
		if s.IdleTimeout > 0 {
			impatient = time.After(s.IdleTimeout)
		}
		select {
		case <-ending: // ends the reader, but what it has read gets its answer
			conn.SetReadDeadline(time.Now())
			ending = nil
		case <-impatient:
			s.Log.Info("too silent", "client", conn.RemoteAddr().String())
			return
		case message, ok := <-messages:
			if !ok {
				return
			}
			s.Log.Debug(message, "client", conn.RemoteAddr().String())
			if s.WriteTimeout > 0 {
				conn.SetWriteDeadline(time.Now().Add(s.WriteTimeout))
			}
			if _, err := conn.Write([]byte(message)); err != nil {
				s.Log.Info("takes nothing", "client", conn.RemoteAddr().String(), "err", err)
				return
			}
		}
	}
}

// drain reads what the client still sends, for a moment, and its reader with
// it, so that to close is no reset.
func drain(conn net.Conn, reader *sync.WaitGroup) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	reader.Wait()
	io.Copy(io.Discard, conn)
}
