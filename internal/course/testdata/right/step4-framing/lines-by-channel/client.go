package echo

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// run has three goroutines: one reads lines, one sends them, one prints the
// answers. It knows no package frame.
func Run(conn net.Conn, in io.Reader, out io.Writer) error {
	done := make(chan struct{})
	defer close(done)
	defer conn.Close()
	lines := make(chan string, 100)
	var inputErr error // is set when lines is closed
	go func() {
		defer close(lines)
		inputErr = readLines(in, lines, done)
	}()
	sent := make(chan error, 1)
	go func() { sent <- send(conn, lines) }()
	printed := make(chan error, 1)
	go func() { printed <- printAnswers(conn, out) }()

	select {
	case err := <-printed:
		if err == nil {
			err = errors.New("the server has ended the connection")
		}
		return err
	case err := <-sent:
		if err == errQuit {
			return nil
		}
		if err != nil {
			return err
		}
	}
	if inputErr != nil && inputErr != io.EOF {
		return inputErr
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		return <-printed
	}
	return nil
}

var errQuit = errors.New("q was typed")

func readLines(in io.Reader, lines chan<- string, done <-chan struct{}) error {
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			line, _ = strings.CutSuffix(line, "\n")
			line, _ = strings.CutSuffix(line, "\r")
			select {
			case lines <- line:
			case <-done:
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// send flushes whenever there is no line to be had at once.
func send(conn net.Conn, lines <-chan string) error {
	w := bufio.NewWriter(conn)
	for {
		var line string
		var more bool
		select {
		case line, more = <-lines:
		default:
			if err := w.Flush(); err != nil {
				return err
			}
			line, more = <-lines
		}
		switch {
		case !more:
			return w.Flush()
		case strings.EqualFold(line, "q"):
			if err := w.Flush(); err != nil {
				return err
			}
			return errQuit
		case len(line) > limit:
			w.Flush()
			return fmt.Errorf("a line of %d bytes is too long to be a message", len(line))
		}
		w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(line))))
		if _, err := w.WriteString(line); err != nil {
			return err
		}
	}
}

func printAnswers(conn net.Conn, out io.Writer) error {
	r := bufio.NewReader(conn)
	for {
		var header [4]byte
		if _, err := io.ReadFull(r, header[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		length := binary.BigEndian.Uint32(header[:])
		if length > limit {
			return errors.New("the server does not send frames")
		}
		answer := make([]byte, length, length+1)
		if _, err := io.ReadFull(r, answer); err != nil {
			return io.ErrUnexpectedEOF
		}
		if _, err := out.Write(append(answer, '\n')); err != nil {
			return err
		}
	}
}
