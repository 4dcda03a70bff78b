package echo

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
)

var (
	errQuit       = errors.New("q was typed")
	errServerLeft = errors.New("the server has left")
)

// run lets two goroutines work, one for each direction. Whichever has a reason
// to end first gives it as the cause for both.
func Run(conn net.Conn, in io.Reader, out io.Writer) error {
	defer conn.Close()
	ctx, end := context.WithCancelCause(context.Background())

	var allSent atomic.Bool
	go func() {
		_, err := io.Copy(lines{out}, conn)
		if err == nil && !allSent.Load() {
			err = errServerLeft
		}
		end(err)
	}()
	go func() {
		switch err := send(conn, in); err {
		case nil:
			allSent.Store(true)
			if half, ok := conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
				end(nil)
			}
		case errQuit:
			end(nil)
		default:
			end(err)
		}
	}()

	<-ctx.Done()
	if cause := context.Cause(ctx); cause != context.Canceled { // which stands for no cause
		return cause
	}
	return nil
}

// send sends each line of in.
func send(conn net.Conn, in io.Reader) error {
	scanner := bufio.NewScanner(in)
	for scanner.Scan() {
		line := scanner.Text()
		if strings.EqualFold(line, "q") {
			return errQuit
		}
		if line == "" {
			continue
		}
		if _, err := conn.Write([]byte(line)); err != nil {
			return err
		}
	}
	return scanner.Err()
}

// lines is a writer that ends each piece that it writes with a newline.
type lines struct{ w io.Writer }

func (l lines) Write(p []byte) (int, error) {
	if _, err := l.w.Write(append(p[:len(p):len(p)], '\n')); err != nil {
		return 0, err
	}
	return len(p), nil
}
