package echo_test

import "net"

// serveWrongly is a server with a goroutine for each client, and with one bug:
// one client, or several that behave, won't notice it. The exercise gives it to
// you: leave it as it is.
func serveWrongly(ln net.Listener) {
	type answer struct {
		to      net.Conn
		message []byte
	}
	answers := make(chan answer)
	go func() {
		for a := range answers {
			a.to.Write(a.message)
		}
	}()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			for {
				buf := make([]byte, 128)
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				answers <- answer{conn, buf[:n]}
			}
		}()
	}
}
