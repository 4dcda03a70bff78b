package echo

// This process takes what its reader still holds before it throws it away.

import (
	"bufio"
	"fmt"
	"net"
)

func process(conn net.Conn) {
	defer conn.Close()
	for {
		reader := bufio.NewReaderSize(conn, 300)
		if _, err := reader.Peek(1); err != nil {
			fmt.Println("client left:", err)
			return
		}
		message := make([]byte, reader.Buffered())
		reader.Read(message)
		fmt.Println("received:", len(message), "bytes")
		if _, err := conn.Write(message); err != nil {
			return
		}
	}
}
