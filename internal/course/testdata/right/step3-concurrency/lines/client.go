package echo

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
)

// A piece is what a goroutine that reads has got, and the error that came with
// it.
type piece struct {
	text string
	err  error
}

// errQuit is what the keyboard's goroutine ends with when q is typed.
var errQuit = errors.New("quit")

// Run has two goroutines, one for each direction. What to do when one of them
// ends is decided here, in one place.
func Run(conn net.Conn, in io.Reader, out io.Writer) error {
	over := make(chan struct{})
	defer close(over)
	defer conn.Close()

	keyboard := bufio.NewReader(in)
	lines := reads(over, func() (string, error) {
		line, err := keyboard.ReadString('\n')
		text := strings.TrimRight(line, "\r\n")
		if text == "q" || text == "Q" {
			return "", errQuit
		}
		if text != "" {
			if _, err := io.WriteString(conn, text); err != nil {
				return "", err
			}
		}
		return "", err
	})
	buf := make([]byte, 2048)
	answers := reads(over, func() (string, error) {
		n, err := conn.Read(buf)
		return string(buf[:n]), err
	})

	for {
		select {
		case answer := <-answers:
			if answer.text != "" {
				if _, err := io.WriteString(out, answer.text+"\n"); err != nil {
					return err
				}
			}
			switch {
			case answer.err == nil:
			case answer.err == io.EOF && lines == nil:
				return nil // all is said
			case answer.err == io.EOF:
				return errors.New("server left")
			default:
				return answer.err
			}
		case line := <-lines:
			switch {
			case line.err == nil:
			case line.err == errQuit:
				return nil
			case line.err == io.EOF:
				lines = nil // nothing comes from there any more
				closeWrite(conn)
			default:
				return line.err
			}
		}
	}
}

func closeWrite(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
		return
	}
	conn.Close() // there is no half to close
}

// reads calls read again and again, until it fails or over is closed, and
// passes on what it returns.
func reads(over <-chan struct{}, read func() (string, error)) <-chan piece {
	pieces := make(chan piece)
	go func() {
		for {
			text, err := read()
			select {
			case pieces <- piece{text, err}:
			case <-over:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return pieces
}
