// A client that shows what arrives when it arrives, and notices at once when
// the server goes.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.Dial("tcp", "127.0.0.1:20000")
	if err != nil {
		fmt.Fprintln(os.Stderr, "no connection:", err)
		os.Exit(1)
	}
	defer conn.Close()
	lines := make(chan string)
	go func() {
		defer close(lines)
		in := bufio.NewReader(os.Stdin)
		for {
			line, err := in.ReadString('\n')
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	gone := make(chan error, 1)
	go func() {
		_, err := io.Copy(os.Stdout, conn)
		gone <- err
	}()
	for {
		select {
		case err := <-gone:
			fmt.Fprintln(os.Stderr, "the server has gone:", err)
			os.Exit(1)
		case line, more := <-lines:
			if !more || line == "q" || line == "Q" {
				return
			}
			io.WriteString(conn, line)
		}
	}
}
