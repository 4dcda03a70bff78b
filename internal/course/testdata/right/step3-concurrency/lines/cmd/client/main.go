// A client with one loop that owns everything.
package main

import (
	"flag"
	"log"
	"net"
	"os"
	"time"

	echo "example.com/tcp-steps/solutions/step3-concurrency"
)

func main() {
	log.SetFlags(0)
	addr := flag.String("addr", "127.0.0.1:20000", "server")
	flag.Parse()
	dialer := net.Dialer{Timeout: 3 * time.Second}
	conn, err := dialer.Dial("tcp", *addr)
	if err != nil {
		log.Fatalf("cannot connect: %v", err)
	}
	if err := echo.Run(conn, os.Stdin, os.Stdout); err != nil {
		log.Fatalf("lost: %v", err)
	}
}
