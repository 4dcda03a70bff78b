// An echo server whose state belongs to one goroutine.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"time"

	echo "example.com/tcp-steps/solutions/step3-concurrency"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:20000", "where to listen")
	quiet := flag.Bool("quiet", false, "show no messages")
	flag.Parse()
	if !*quiet {
		slog.SetLogLoggerLevel(slog.LevelDebug)
	}
	log.SetOutput(os.Stdout) // what happens is this program's output
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		log.SetOutput(os.Stderr)
		log.Fatal(err)
	}
	s := &echo.Server{IdleTimeout: time.Minute, WriteTimeout: time.Minute, MaxClients: 1000}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()

	select {
	case err := <-served:
		log.SetOutput(os.Stderr)
		log.Fatal(err)
	case <-signals:
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		log.SetOutput(os.Stderr)
		log.Fatal(err)
	}
}
