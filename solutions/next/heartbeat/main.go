// A client with a heartbeat: the server knows that a silent client is still
// there, and the client notices when the server isn't.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"time"

	echo "example.com/tcp-steps/solutions/step4-framing"
)

func main() {
	if err := demo(os.Stdout, 200*time.Millisecond); err != nil {
		log.Fatal(err)
	}
}

// demo has two servers: one that disconnects silent clients, and one that
// accepts them and then hangs.
func demo(out io.Writer, interval time.Duration) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &echo.Server{IdleTimeout: 5 * interval, Log: slog.New(slog.DiscardHandler)}
	go server.Serve(ln)
	defer server.Shutdown(context.Background())

	for _, client := range []struct {
		name     string
		interval time.Duration
	}{{"with a heartbeat", interval}, {"without", time.Hour}} {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		c := NewClient(conn, client.interval)
		time.Sleep(10 * interval) // twice the IdleTimeout
		c.Send([]byte("hello"))
		message, err := c.Receive()
		if err != nil {
			fmt.Fprintf(out, "%s: disconnected\n", client.name)
		} else {
			fmt.Fprintf(out, "%s: %s\n", client.name, message)
		}
		c.Close()
	}

	hangs, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts
	if err != nil {
		return err
	}
	defer hangs.Close()
	conn, err := net.Dial("tcp", hangs.Addr().String())
	if err != nil {
		return err
	}
	c := NewClient(conn, interval)
	defer c.Close()
	begin := time.Now()
	if _, err = c.Receive(); errors.Is(err, os.ErrDeadlineExceeded) {
		took := time.Since(begin).Round(interval)
		fmt.Fprintf(out, "a server that hangs: noticed after %v\n", took)
	}
	return nil
}
