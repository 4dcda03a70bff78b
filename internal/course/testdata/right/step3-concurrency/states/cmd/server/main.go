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
)

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
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	if quiet {
		options.Level = slog.LevelWarn
	}
	s := echo.Server{IdleTimeout: 2 * time.Minute, WriteTimeout: 30 * time.Second,
		Log: slog.New(slog.NewJSONHandler(os.Stdout, options))}
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
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		failure = s.Shutdown(ctx)
	})
	if err := s.Serve(ln); !errors.Is(err, echo.ErrServerClosed) {
		return err
	}
	<-done
	return failure
}
