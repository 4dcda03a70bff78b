package echo

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// A Server is the echo server of cmd/server/main.go, which is the document's,
// as a value that you can test, limit and stop. Read docs/3-concurrency.md
// beside it.
//
// TODO exercise 1: Serve any listener
// TODO exercise 2: Keep clients apart
// TODO exercise 4: Back off after accept errors
// TODO exercise 5: Limit the number of clients
// TODO exercise 6: Disconnect silent clients
// TODO exercise 7: Disconnect clients that never read
type Server struct {
	IdleTimeout  time.Duration // how long a client may be silent; 0: no timeout
	WriteTimeout time.Duration // how long one Write may take; 0: no timeout
	MaxClients   int           // served at the same time; 0: no limit
	Log          *slog.Logger  // messages, at debug level; nil: slog.Default()
}

// ErrServerClosed is the error Serve returns after Shutdown.
//
// TODO exercise 8: Shut down gracefully
var ErrServerClosed error

// Serve accepts clients from ln and serves them until Shutdown is called. Then
// it returns ErrServerClosed.
func (s *Server) Serve(ln net.Listener) error {
	return nil
}

// Shutdown stops the server gracefully, as net/http's does. It returns nil when
// the last client has left. If ctx is done first, Shutdown closes the remaining
// connections and returns ctx's error.
//
// TODO exercise 8: Shut down gracefully
// TODO exercise 9: Close the rest when the context ends
// TODO exercise 10: Shut down at any moment
func (s *Server) Shutdown(ctx context.Context) error {
	return nil
}

// Clients returns how many clients are being served.
//
// TODO exercise 3: Count clients
// TODO exercise 12: Handle a thousand clients
func (s *Server) Clients() int {
	return 0
}

// In cmd/server/main.go, main serves with a Server:
//
// TODO exercise 11: Run as a program
