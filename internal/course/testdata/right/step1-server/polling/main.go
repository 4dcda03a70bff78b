// A server that looks every ten milliseconds whether a client has sent
// something.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

func process(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 4096)
	for {
		conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := conn.Read(buf)
		if n > 0 {
			fmt.Printf("%s\n", buf[:n])
			if _, err := conn.Write(buf[:n]); err != nil {
				fmt.Println("can't answer:", err)
				return
			}
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

func main() {
	ln, err := net.Listen("tcp", "127.0.0.1:20000")
	if err != nil {
		fmt.Println("can't listen:", err)
		return
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			fmt.Println("can't accept:", err)
			continue
		}
		go process(conn)
	}
}
