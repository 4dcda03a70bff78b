package echo

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// A Server sends each message of each client back to that client. The zero
// Server is ready to use and has no limits. Don't change the fields once Serve
// has been called.
type Server struct {
	// IdleTimeout is how long a client may send nothing before the server
	// disconnects it. 0 means no timeout.
	IdleTimeout time.Duration

	// WriteTimeout is how long one Write may take before the server disconnects
	// the client. 0 means no timeout.
	WriteTimeout time.Duration

	// MaxClients limits how many clients are served at the same time. 0 means
	// no limit.
	MaxClients int

	// Log gets each message at debug level. If it's nil, slog.Default() does.
	Log *slog.Logger

	once     sync.Once
	stopping chan struct{} // closed when Shutdown begins
	drained  chan struct{} // closed when the last client has left after that
	slots    chan struct{} // holds a value per acquired slot; nil: no limit

	mu       sync.Mutex // guards the fields below; never held during I/O
	listener net.Listener
	clients  map[net.Conn]struct{}
}

// ErrServerClosed is the error Serve returns after Shutdown.
var ErrServerClosed = errors.New("server closed")

// After a failed Accept, Serve pauses for minPause, then twice as long each
// time up to maxPause, as net/http does: a descriptor may be free again in a
// moment, or not for minutes.
const (
	minPause = 5 * time.Millisecond
	maxPause = 1 * time.Second
)

// lingerTimeout is how long the server keeps reading from a client that it
// disconnects, so that the client's last bytes don't cause a reset.
const lingerTimeout = 500 * time.Millisecond

func (s *Server) init() {
	s.once.Do(func() {
		s.stopping = make(chan struct{})
		s.drained = make(chan struct{})
		if s.MaxClients > 0 {
			s.slots = make(chan struct{}, s.MaxClients)
		}
	})
}

// Serve accepts clients from ln and serves each in its own goroutine. Call it
// once. Serve owns ln and closes it before it returns.
//
// Serve returns ErrServerClosed after Shutdown. If ln is closed without
// Shutdown, Serve returns Accept's error, which wraps net.ErrClosed. After any
// other error of Accept, Serve pauses and tries again.
func (s *Server) Serve(ln net.Listener) error {
	s.init()
	defer ln.Close()
	if !s.listen(ln) {
		return ErrServerClosed
	}
	var pause time.Duration
	for {
		// Acquire a slot, then accept: a client that can't be served yet waits
		// in the kernel's backlog, where it costs the server nothing.
		if !s.acquire() {
			return ErrServerClosed
		}
		conn, err := ln.Accept()
		if err != nil {
			s.release()
			if s.isStopping() {
				return ErrServerClosed
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			pause = min(max(2*pause, minPause), maxPause)
			s.log().Error("accept failed", "err", err, "retry", pause)
			select {
			case <-time.After(pause):
			case <-s.stopping:
				return ErrServerClosed
			}
			continue
		}
		pause = 0
		if !s.trackConn(conn) { // Shutdown began during Accept
			conn.Close()
			return ErrServerClosed
		}
		go s.process(conn)
	}
}

// Shutdown stops the server gracefully: it closes the listener, disconnects
// idle clients, and lets the server finish each answer it has begun. Shutdown
// returns nil when the last client has left. If ctx is done first, Shutdown
// closes the remaining connections and returns ctx's error.
//
// Shutdown may be called at any time, more than once, and before Serve.
func (s *Server) Shutdown(ctx context.Context) error {
	s.init()
	s.stop()
	select {
	case <-s.drained:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.clients) == 0 {
		return nil // the last client had left as well
	}
	for conn := range s.clients {
		conn.Close()
	}
	return ctx.Err()
}

// stop begins the shutdown. Only its first call has an effect.
func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isStopping() {
		return
	}
	close(s.stopping)
	if s.listener != nil {
		s.listener.Close()
	}
	if len(s.clients) == 0 {
		close(s.drained)
	}
	for conn := range s.clients {
		conn.SetReadDeadline(time.Now()) // ends a Read, but not a Write
	}
}

func (s *Server) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// Clients returns how many clients are being served. A client counts until its
// connection is closed.
func (s *Server) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients)
}

// listen stores ln so that Shutdown can close it. It returns false if Shutdown
// has begun.
func (s *Server) listen(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = ln
	return !s.isStopping()
}

// trackConn adds conn to the clients. It returns false if Shutdown has begun.
// The lock decides which of the two comes first, so Shutdown misses no client.
func (s *Server) trackConn(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isStopping() {
		return false
	}
	if s.clients == nil {
		s.clients = make(map[net.Conn]struct{})
	}
	s.clients[conn] = struct{}{}
	return true
}

// untrackConn closes conn, then removes it from the clients and releases its
// slot. If it was the last client, Shutdown may return.
func (s *Server) untrackConn(conn net.Conn) {
	hangUp(conn)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, conn)
	s.release()
	if s.isStopping() && len(s.clients) == 0 {
		close(s.drained)
	}
}

// hangUp closes conn so that the last answer arrives. Closing a connection with
// bytes unread sends a reset, which can overtake that answer and destroy it
// (RFC 1122, section 4.2.2.13). So hangUp says that no more will be written,
// then discards what the client still sends, until the client closes or
// lingerTimeout has passed.
func hangUp(conn net.Conn) {
	defer conn.Close() // 关闭连接
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	deadline := time.Now().Add(lingerTimeout)
	for time.Now().Before(deadline) { // Shutdown may end a Read early
		conn.SetReadDeadline(deadline)
		_, err := io.Copy(io.Discard, conn)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

// acquire waits for a free slot. It returns false if Shutdown begins first.
func (s *Server) acquire() bool {
	if s.slots == nil {
		return true
	}
	select {
	case s.slots <- struct{}{}:
		return true
	case <-s.stopping:
		return false
	}
}

func (s *Server) release() {
	if s.slots != nil {
		<-s.slots
	}
}

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.Default()
	}
	return s.Log
}
