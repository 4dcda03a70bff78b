// An echo server in the manner of net/http.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	echo "example.com/tcp-steps/solutions/step3-concurrency"
	"example.com/tcp-steps/solutions/step3-concurrency/cmd/options"
)

// limit is how long a client may take for its last answers.
const limit = 30 * time.Second

func main() {
	var (
		addr  = flag.String("addr", "127.0.0.1:20000", "address")
		quiet = flag.Bool("quiet", false, "be quiet")
	)
	flag.Parse()
	if err := run(*addr, *quiet); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(addr string, quiet bool) error {
	log := slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: options.Level(quiet)})
	s := echo.Server{IdleTimeout: 2 * time.Minute, WriteTimeout: limit, Log: slog.New(log)}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	ended, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	done := make(chan struct{})
	var failure error
	context.AfterFunc(ended, func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		failure = s.Shutdown(ctx)
	})
	if err := s.Serve(ln); !errors.Is(err, echo.ErrServerClosed) {
		return err
	}
	<-done
	return failure
}
