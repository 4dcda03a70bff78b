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

// errQuit says that q was typed.
var errQuit = errors.New("quit")

// Run sends each line of in to conn, without its ending, and meanwhile prints what arrives to out. It
// owns conn, and closes it.
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
		// The last line may have come without a newline, together with the error.
		if inputErr == io.EOF {
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
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
