package echo

// This process reads from the connection itself, and answers what it can't
// print at once.

import (
	"fmt"
	"io"
	"net"
)

type shown struct{ net.Conn }

func (s shown) Write(p []byte) (int, error) {
	fmt.Printf("%q\n", p)
	return s.Conn.Write(p)
}

func process(conn net.Conn) {
	defer conn.Close()
	if _, err := io.Copy(shown{conn}, conn); err != nil {
		fmt.Println("client lost:", err)
	}
}
