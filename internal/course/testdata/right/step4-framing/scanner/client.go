package echo

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

// Run sends in a goroutine, and prints in the calling one. Each line has its
// Flush, so that it is on its way before the next one is read.
func Run(conn net.Conn, in io.Reader, out io.Writer) error {
	defer conn.Close()
	s := &sender{conn: conn, ended: make(chan struct{})}
	go s.run(in)

	answers := frame.NewReader(conn, limit)
	screen := bufio.NewWriter(out)
	for {
		answer, err := answers.ReadFrame()
		if err != nil {
			return s.judge(err)
		}
		screen.Write(answer)
		screen.WriteByte('\n')
		if err := screen.Flush(); err != nil {
			return err
		}
	}
}

// A sender sends the lines. When it ends early it closes the connection, so
// that no client waits for answers any more.
type sender struct {
	conn  net.Conn
	ended chan struct{}
	err   error // is set when ended is closed
}

var errQuit = errors.New("q was typed")

func (s *sender) run(in io.Reader) {
	s.err = s.send(in)
	close(s.ended)
	half, ok := s.conn.(interface{ CloseWrite() error })
	if s.err != nil || !ok {
		s.conn.Close()
		return
	}
	half.CloseWrite()
}

func (s *sender) send(in io.Reader) error {
	out := frame.NewWriter(s.conn, limit)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, limit+64) // and not 64 KiB
	for lines.Scan() {
		if strings.EqualFold(lines.Text(), "q") {
			return errQuit
		}
		if err := out.WriteFrame(lines.Bytes()); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return lines.Err()
}

// judge says what it means that there are no answers any more.
func (s *sender) judge(err error) error {
	ended := false
	select {
	case <-s.ended:
		ended = true
	default:
	}
	switch {
	case ended && s.err == errQuit:
		return nil
	case ended && s.err != nil:
		return s.err
	case err != io.EOF:
		return err
	case !ended:
		return errors.New("the server has ended the connection")
	}
	return nil
}
