// Server is a TCP echo server for many clients.
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

// grace is how long the clients have to read their last answers after Ctrl-C.
const grace = 10 * time.Second

func main() {
	addr := flag.String("addr", "127.0.0.1:20000", "the `address` to listen on")
	quiet := flag.Bool("quiet", false, "don't show the messages")
	flag.Parse()
	level := slog.LevelDebug
	if *quiet {
		level = slog.LevelInfo
	}
	s := &echo.Server{
		IdleTimeout:  5 * time.Minute,
		WriteTimeout: 10 * time.Second,
		MaxClients:   10_000,
		Log: slog.New(slog.NewTextHandler(os.Stderr,
			&slog.HandlerOptions{Level: level})),
	}
	if err := listenAndServe(s, *addr); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// listenAndServe serves until the program gets SIGINT (Ctrl-C) or SIGTERM, then
// shuts s down gracefully.
func listenAndServe(s *echo.Server, addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stopped := make(chan error, 1)
	go func() {
		<-interrupted.Done()
		stop() // a second Ctrl-C ends the program at once
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		stopped <- s.Shutdown(ctx)
	}()
	if err := s.Serve(ln); !errors.Is(err, echo.ErrServerClosed) {
		return err
	}
	return <-stopped // Serve returns when Shutdown begins, so wait for its end
}
