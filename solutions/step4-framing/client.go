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

// errQuit says that q was typed.
var errQuit = errors.New("quit")

// Run sends each line of in, without its ending, as a frame to conn, and meanwhile prints the payload of each frame
// that arrives on a line of its own to out. It owns conn, and closes it.
//
// At the end of in it promises the server to send no more, prints what the server still has to say, and returns
// nil. On q it returns nil at once. If the server ends the connection before that, it returns an error at once; a goroutine that waits
// for in then stays until in has something for it.
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
		if err == errQuit {
			return nil
		}
		if err != nil {
			return err
		}
	}
	// A net.Conn need not be a TCP connection, and what is none may have no half to close.
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		return <-received
	}
	return nil
}

// send sends what is typed, line by line, to the end of in.
func send(conn net.Conn, in io.Reader) error {
	out := frame.NewWriter(conn, limit)
	inputReader := bufio.NewReader(flushFirst{in, out})
	for {
		input, inputErr := inputReader.ReadString('\n') // 读取用户输入
		inputInfo := strings.TrimSuffix(strings.TrimSuffix(input, "\n"), "\r")
		if strings.ToUpper(inputInfo) == "Q" { // 如果输入q就退出
			if err := out.Flush(); err != nil {
				return err
			}
			return errQuit
		}
		if input != "" { // a line, be it an empty one; the last one may have no ending
			if err := out.WriteFrame([]byte(inputInfo)); err != nil { // 发送数据
				return err
			}
		}
		if inputErr != nil {
			if err := out.Flush(); err != nil || inputErr == io.EOF {
				return err
			}
			return inputErr
		}
	}
}

// A flushFirst is the input. Before it waits for more of it, the lines so far are sent.
type flushFirst struct {
	in  io.Reader
	out *frame.Writer
}

func (f flushFirst) Read(p []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, err
	}
	return f.in.Read(p)
}

// receive prints what arrives, until the server ends the connection between two messages.
func receive(conn net.Conn, out io.Writer) error {
	in := frame.NewReader(conn, limit)
	for {
		message, err := in.ReadFrame()
		if err == io.EOF {
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
