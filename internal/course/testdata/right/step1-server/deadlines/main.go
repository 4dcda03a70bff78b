// A server that gives each client five minutes for its next message, and takes
// a moment to answer.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

const patience = 5 * time.Minute

func process(conn net.Conn) {
	defer conn.Close()
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	for {
		conn.SetDeadline(time.Now().Add(patience))
		first, err := in.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			fmt.Fprintln(os.Stderr, "a client has gone:", err)
			return
		}
		message := append([]byte{first}, make([]byte, in.Buffered())...)
		io.ReadFull(in, message[1:])
		os.Stdout.Write(append(message, '\n'))
		time.Sleep(10 * time.Millisecond)
		out.Write(message)
		if out.Flush() != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "localhost:20000")
	if err != nil {
		println(err.Error())
		return
	}
	for {
		if conn, err := listener.Accept(); err == nil {
			go func() {
				defer func() { recover() }() // whatever happens to one client
				process(conn)
			}()
		}
	}
}
