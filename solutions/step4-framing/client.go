package echo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

var errServerGone = errors.New("the server has closed the connection")

// errQuit is what send returns when q was typed.
var errQuit = errors.New("quit")

// Run sends each line of in to conn, without its ending, as one frame.
// Meanwhile it prints the payload of each frame that arrives to out, on a line
// of its own. It owns conn, and closes it before it returns.
//
// At the end of in, Run ends its half of the connection, prints what the server
// still has to say, and returns nil. On q it returns nil at once. If the server
// ends the connection before that, Run returns an error at once. A goroutine
// that waits for in may outlive Run: nothing ends the Read of a keyboard.
func Run(conn net.Conn, in io.Reader, out io.Writer) error {
	defer conn.Close() // 关闭连接
	sent := make(chan error, 1)
	go func() { sent <- send(conn, in) }()
	received := make(chan error, 1)
	go func() { received <- receive(conn, out) }()

	select {
	case err := <-received:
		if err == nil {
			return errServerGone
		}
		return err
	case err := <-sent:
		if errors.Is(err, errQuit) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	// A net.Conn needn't be a *net.TCPConn. Where one half can't be ended
	// alone, closing the connection is the only way to tell the server.
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		return <-received
	}
	return nil
}

// send sends each line of in, until in ends or a line is q.
func send(conn net.Conn, in io.Reader) error {
	out := frame.NewWriter(conn, limit)
	inputReader := bufio.NewReader(flushingReader{in, out})
	for {
		input, inputErr := inputReader.ReadString('\n') // 读取用户输入
		inputInfo := strings.TrimSuffix(strings.TrimSuffix(input, "\n"), "\r")
		if strings.ToUpper(inputInfo) == "Q" { // 如果输入q就退出
			if err := out.Flush(); err != nil {
				return err
			}
			return errQuit
		}
		if input != "" { // a line, even an empty one; the last one may have no ending
			if err := out.WriteFrame([]byte(inputInfo)); err != nil { // 发送数据
				return err
			}
		}
		if inputErr != nil {
			if err := out.Flush(); err != nil || errors.Is(inputErr, io.EOF) {
				return err
			}
			return inputErr
		}
	}
}

// A flushingReader is the input. Before it reads more, it sends the lines so
// far.
type flushingReader struct {
	in  io.Reader
	out *frame.Writer
}

func (r flushingReader) Read(p []byte) (int, error) {
	if err := r.out.Flush(); err != nil {
		return 0, err
	}
	return r.in.Read(p)
}

// receive prints each message that arrives, until the server ends the
// connection between two of them.
func receive(conn net.Conn, out io.Writer) error {
	in := frame.NewReader(conn, limit)
	for {
		message, err := in.ReadFrame()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s\n", message); err != nil {
			return err
		}
	}
}
