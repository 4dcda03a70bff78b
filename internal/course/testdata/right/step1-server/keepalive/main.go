// A server that asks for what only a *net.TCPConn has, and does without it
// where a net.Conn is something else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

var printing sync.Mutex // all clients print to one file

func process(conn net.Conn) {
	defer conn.Close()
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetKeepAlive(true)
		tcp.SetKeepAlivePeriod(30 * time.Second)
		tcp.SetNoDelay(true)
	}
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			printing.Lock()
			fmt.Fprintf(os.Stdout, "%s says %q\n", conn.RemoteAddr(), buf[:n])
			printing.Unlock()
			if _, err := conn.Write(buf[:n]); err != nil {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, conn.RemoteAddr(), "is lost:", err)
			return
		}
	}
}

func main() {
	config := net.ListenConfig{KeepAlive: time.Minute}
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:20000")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go process(conn)
	}
}
