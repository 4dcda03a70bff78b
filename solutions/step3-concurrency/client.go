package echo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

var errServerGone = errors.New("the server has closed the connection")

// errQuit is what send returns when q was typed.
var errQuit = errors.New("quit")

// Run sends each line of in to conn, without its ending, and meanwhile prints
// what arrives to out. It owns conn, and closes it before it returns.
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
	inputReader := bufio.NewReader(in)
	for {
		input, inputErr := inputReader.ReadString('\n') // 读取用户输入
		inputInfo := strings.Trim(input, "\r\n")
		if strings.ToUpper(inputInfo) == "Q" { // 如果输入q就退出
			return errQuit
		}
		if _, err := conn.Write([]byte(inputInfo)); err != nil { // 发送数据
			return err
		}
		// The last line may come without a newline, together with the error.
		if errors.Is(inputErr, io.EOF) {
			return nil
		}
		if inputErr != nil {
			return inputErr
		}
	}
}

// receive prints what arrives, until the server ends the connection.
func receive(conn net.Conn, out io.Writer) error {
	buf := [512]byte{}
	for {
		n, err := conn.Read(buf[:])
		if n > 0 {
			fmt.Fprintln(out, string(buf[:n]))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
