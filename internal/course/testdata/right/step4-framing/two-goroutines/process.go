package echo

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

// A message has up to 1 MiB.
const limit = 1 << 20

// process reads in this goroutine and answers in another one. The channel
// between them holds the answers. A nil in it says that the reader is about to
// wait: send what there is.
func (s *Server) process(conn net.Conn) {
	defer s.untrackConn(conn)
	answers := make(chan []byte, 2)
	answered := make(chan error)
	go func() { answered <- s.answer(conn, answers) }()

	log := s.log().With("client", conn.RemoteAddr())
	from := &source{s: s, conn: conn, answers: answers}
	in := frame.NewReader(from, limit)
	var readErr error
	for readErr == nil {
		var message []byte
		message, readErr = in.ReadFrame()
		if readErr == nil {
			from.begun = false
			log.Debug("received", "message", string(message))
			answers <- append([]byte{}, message...) // not nil, if it is empty
		}
	}
	close(answers)
	writeErr := <-answered

	stopped := s.isStopping() && errors.Is(readErr, os.ErrDeadlineExceeded)
	switch {
	case writeErr != nil:
		log.Error("couldn't answer", "err", writeErr)
	case readErr != io.EOF && !stopped:
		log.Error("client disconnected", "err", readErr)
	}
}

// answer sends what comes out of the channel until that's closed. After an
// error it closes the connection, which ends the reader, and drops the other
// answers.
func (s *Server) answer(conn net.Conn, answers <-chan []byte) error {
	out := frame.NewWriter(&sink{s, conn}, limit)
	var err error
	for message := range answers {
		switch {
		case err != nil:
			continue
		case message == nil:
			err = out.Flush()
		default:
			err = out.WriteFrame(message)
		}
		if err != nil {
			conn.Close()
		}
	}
	if err == nil {
		err = out.Flush()
	}
	return err
}

// A source is the connection as the frame.Reader sees it. It says when it may
// have to wait.
type source struct {
	s       *Server
	conn    net.Conn
	answers chan<- []byte
	begun   bool // the next frame
}

func (f *source) Read(p []byte) (int, error) {
	f.answers <- nil
	if idle := f.s.IdleTimeout; idle > 0 && !f.begun {
		f.conn.SetReadDeadline(time.Now().Add(idle))
	}
	if f.s.isStopping() { // whose deadline may just have been replaced
		return 0, os.ErrDeadlineExceeded
	}
	n, err := f.conn.Read(p)
	if n > 0 && !f.begun {
		f.begun = true
		if idle := f.s.IdleTimeout; idle > 0 {
			f.conn.SetReadDeadline(time.Now().Add(idle))
		}
	}
	return n, err
}

// A sink sends everything in pieces of 32 KiB. Each has WriteTimeout.
type sink struct {
	s    *Server
	conn net.Conn
}

func (k *sink) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		if patience := k.s.WriteTimeout; patience > 0 {
			k.conn.SetWriteDeadline(time.Now().Add(patience))
		}
		n, err := k.conn.Write(p[sent:min(len(p), sent+32<<10)])
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}
