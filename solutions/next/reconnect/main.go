// A client that connects again, with growing pauses, until its context is done.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	echo "example.com/tcp-steps/solutions/step4-framing"
)

func main() {
	if err := demo(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// demo asks a server that goes away, comes back after three failures, and goes
// away for good.
func demo(out io.Writer) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &echo.Server{}
	go server.Serve(ln)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client := &Client{Addr: ln.Addr().String()}
	defer client.Close()
	failures := 0
	var failed error // of the demo itself
	client.Failed = func(_ error, pause time.Duration) {
		failures++
		fmt.Fprintf(out, "failure %d, next try in %v\n", failures, pause.Round(time.Millisecond))
		switch failures {
		case 3:
			again, err := net.Listen("tcp", client.Addr)
			if err != nil {
				failed = err
				cancel()
				return
			}
			server = &echo.Server{} // a Server serves once
			go server.Serve(again)
		case 6:
			cancel()
		}
	}

	for _, message := range []string{"one", "two", "three"} {
		answer, err := client.Ask(ctx, []byte(message))
		if failed != nil {
			return failed
		}
		if err != nil {
			fmt.Fprintf(out, "gave up: %v\n", err)
			return nil
		}
		fmt.Fprintf(out, "answer: %s\n", answer)
		server.Shutdown(ctx)
	}
	return nil
}
