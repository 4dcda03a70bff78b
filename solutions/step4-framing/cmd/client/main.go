// A TCP client that prints what the server says as soon as it says it.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	echo "example.com/tcp-steps/solutions/step4-framing"
)

// dialTimeout limits how long connecting may take. Without it the kernel
// decides: Linux gives up only after about two minutes.
const dialTimeout = 5 * time.Second

func main() {
	addr := flag.String("addr", "127.0.0.1:20000", "the `address` of the server")
	flag.Parse()
	if err := talk(*addr); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func talk(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, dialTimeout)
	if err != nil {
		return err
	}
	return echo.Run(conn, os.Stdin, os.Stdout)
}
