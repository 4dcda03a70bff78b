package echo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
)

// Run reads the connection itself, 16 bytes at a time, and prints each piece on
// a line of its own. The goroutine that sends also ends its half, after it has
// said so in a variable.
func Run(conn net.Conn, in io.Reader, out io.Writer) error {
	defer conn.Close()
	var inputEnded, quit atomic.Bool
	go func() {
		switch err := sendLines(conn, in); err {
		case nil:
			inputEnded.Store(true)
			half, ok := conn.(interface{ CloseWrite() error })
			if !ok {
				conn.Close()
				return
			}
			half.CloseWrite()
		case errQuit:
			quit.Store(true)
			conn.Close()
		default:
			conn.Close()
		}
	}()

	buf := make([]byte, 16)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			fmt.Fprintln(out, string(buf[:n]))
		}
		switch {
		case err == nil:
		case quit.Load(), inputEnded.Load() && errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("the server is gone")
		default:
			return err
		}
	}
}

var errQuit = errors.New("quit")

func sendLines(conn net.Conn, in io.Reader) error {
	keyboard := bufio.NewReader(in)
	for {
		line, err := keyboard.ReadString('\n')
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if strings.EqualFold(line, "q") {
			return errQuit
		}
		if line != "" {
			if _, err := io.WriteString(conn, line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
