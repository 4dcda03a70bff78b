// A server whose clients have two goroutines each: one reads, one answers. Its
// buffer is too small for most messages, which it answers in several Writes.
package main

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

func process(conn net.Conn) {
	pieces := make(chan []byte)
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		for piece := range pieces {
			fmt.Printf("received %q\n", piece)
			time.Sleep(time.Millisecond) // so long it takes to think of an answer
			conn.Write(piece)
		}
		group.Done()
	}()
	for {
		piece := make([]byte, 48)
		n, err := conn.Read(piece)
		if n > 0 {
			pieces <- piece[:n]
		}
		if err != nil {
			break
		}
	}
	close(pieces)
	group.Wait()
	conn.Close()
}

func main() {
	if err := serve("127.0.0.1:20000"); err != nil {
		fmt.Fprintln(os.Stderr, "cannot serve:", err)
		os.Exit(1)
	}
}

func serve(addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	accepted := make(chan net.Conn)
	for range 10 {
		go func() {
			for conn := range accepted {
				process(conn)
			}
		}()
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		accepted <- conn
	}
}
