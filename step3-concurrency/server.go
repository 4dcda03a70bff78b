package echo

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// A Server is the echo server of main.go, which is the document's, as something that can be
// tested, limited and stopped. The chapter to read beside it is docs/3-concurrency.md.
//
// TODO exercise 1: Serve any listener
// TODO exercise 2: Keep clients apart
// TODO exercise 4: Back off after accept errors
// TODO exercise 5: Limit the number of clients
// TODO exercise 6: Disconnect silent clients
// TODO exercise 7: Disconnect clients that never read
type Server struct {
	IdleTimeout  time.Duration // a client that sends nothing for this long is let go; 0 means never
	WriteTimeout time.Duration // a client that takes nothing for this long is let go; 0 means never
	MaxClients   int           // served at the same time; 0 means no limit
	Log          *slog.Logger  // gets each message at debug level; nil means slog.Default()
}

// ErrServerClosed is what Serve returns after a call of Shutdown.
//
// TODO exercise 8: Shut down gracefully
var ErrServerClosed error

// Serve accepts clients from ln and serves them, until Shutdown is called; then it returns
// ErrServerClosed.
func (s *Server) Serve(ln net.Listener) error {
	return nil
}

// Shutdown stops the server gently, as net/http's does: it returns nil when the last client
// has left. When ctx is done before that, it closes what is left and returns ctx's error.
//
// TODO exercise 8: Shut down gracefully
// TODO exercise 9: Close the rest when the context ends
// TODO exercise 10: Shut down at any moment
func (s *Server) Shutdown(ctx context.Context) error {
	return nil
}

// Clients returns the number of clients that are being served now.
//
// TODO exercise 3: Count clients
// TODO exercise 12: Handle a thousand clients
func (s *Server) Clients() int {
	return 0
}

// What main is to do with a Server, in main.go:
//
// TODO exercise 11: Run as a program
