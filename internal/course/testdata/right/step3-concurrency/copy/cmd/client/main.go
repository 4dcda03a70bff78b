// A client whose receiving side is io.Copy.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	echo "example.com/tcp-steps/solutions/step3-concurrency"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:20000", "the server's address")
	flag.Parse()
	if err := client(*addr); err != nil {
		fmt.Fprintf(os.Stderr, "client of %s: %v\n", *addr, err)
		os.Exit(1)
	}
}

func client(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return echo.Run(conn, os.Stdin, os.Stdout)
}
