package own

import "net"

// serve is a server that keeps its clients apart, counts nothing, and has no limits; and it has one mistake,
// which nobody sees who tries it with one client, or with two that behave. It is given: leave it as it is.
func serve(ln net.Listener) {
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
