// The shortest server: io.Copy reads and writes until the client leaves, and a
// TeeReader shows what came.
package main

import (
	"io"
	"log"
	"net"
	"os"
)

func process(conn net.Conn) {
	defer conn.Close()
	if _, err := io.Copy(conn, io.TeeReader(conn, os.Stdout)); err != nil {
		log.Print(err)
	}
}

func main() {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 20000})
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.AcceptTCP()
		if err != nil {
			log.Fatal(err)
		}
		go process(conn)
	}
}
