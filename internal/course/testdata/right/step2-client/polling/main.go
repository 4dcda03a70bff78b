// A client that looks every ten milliseconds for a line and for an answer.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	defer fmt.Println("bye") // whatever happens
	conn, err := net.Dial("tcp", "127.0.0.1:20000")
	if err != nil {
		fmt.Println("cannot connect:", err)
		return
	}
	defer conn.Close()
	lines := make(chan string, 100)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
	}()
	buf := make([]byte, 1024)
	for {
		select {
		case line := <-lines:
			if strings.EqualFold(line, "q") {
				return
			}
			conn.Write([]byte(line))
		default:
		}
		conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := conn.Read(buf)
		if n > 0 {
			fmt.Printf("%s\n", buf[:n])
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			fmt.Println("the server has gone:", err)
			return
		}
	}
}
