package echo

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// A Server answers each message of each of its clients with the same message. The
// fields are not changed any more once Serve is called. The zero Server is ready to be used, and knows no limits.
type Server struct {
	IdleTimeout  time.Duration // a client that sends nothing for this long is let go; 0 means never
	WriteTimeout time.Duration // a client that takes nothing for this long is let go; 0 means never
	MaxClients   int           // served at the same time; 0 means no limit
	Log          *slog.Logger  // gets each message at debug level; nil means slog.Default()

	once     sync.Once
	stopping chan struct{} // closed when Shutdown begins
	drained  chan struct{} // closed when, after that, the last client has left
	slots    chan struct{} // holds a value for each place that is taken; nil if there is no limit

	mu       sync.Mutex // guards what follows, and is held for moments only, never during I/O
	listener net.Listener
	clients  map[net.Conn]struct{}
}

// ErrServerClosed is what Serve returns after a call of Shutdown.
var ErrServerClosed = errors.New("server closed")

// The pause after an Accept that failed, as net/http has it: a descriptor that is
// missing now may be there soon, or for a long time not.
const (
	minPause = 5 * time.Millisecond
	maxPause = 1 * time.Second
)

// lingerTimeout is how long a client may take to hang up once the server has.
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

// Serve accepts clients from ln, and serves each in a goroutine of its own. It is called
// once, and owns ln: it returns ErrServerClosed after Shutdown, or else, when somebody has closed ln, an
// error that wraps net.ErrClosed; ln is closed then. Other errors of Accept pass, so Serve tries again, after a pause.
func (s *Server) Serve(ln net.Listener) error {
	s.init()
	defer ln.Close()
	if !s.listen(ln) {
		return ErrServerClosed
	}
	var pause time.Duration
	for {
		// A place first, and then a client: who cannot be served yet is not accepted, and waits in
		// the kernel's queue.
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
			s.log().Error("accept failed", "err", err, "retry in", pause)
			select {
			case <-time.After(pause):
			case <-s.stopping:
				return ErrServerClosed
			}
			continue
		}
		pause = 0
		if !s.trackConn(conn) { // accepted while Shutdown began
			conn.Close()
			return ErrServerClosed
		}
		go s.process(conn)
	}
}

// Shutdown stops the server gently: no client is accepted any more, those who wait to
// be asked are let go at once, and those whose message is being answered get their answer first. It returns nil
// when the last client has left. If ctx is done before that, Shutdown closes the connections that are left, and
// returns ctx's error. It may be called before Serve, more than once, and at any time.
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
	for conn := range s.clients {
		conn.Close()
	}
	return ctx.Err()
}

// stop begins the shutdown, once.
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
		conn.SetReadDeadline(time.Now()) // ends a Read that waits, and leaves a Write alone
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

// Clients returns the number of clients that are being served now.
func (s *Server) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients)
}

// listen notes ln, so that Shutdown can close it, unless Shutdown has begun.
func (s *Server) listen(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = ln
	return !s.isStopping()
}

// trackConn makes conn a client, unless Shutdown has begun: whether one of them comes first is
// decided under the lock, so that no client is overlooked.
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

// untrackConn ends the connection, and gives back what its client took.
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

// hangUp ends a connection from this side, so that what was written to it arrives. To close it with bytes unread
// would be a reset, which can overtake the last answers and destroy them (RFC 1122, section 4.2.2.13). So
// the client first learns that nothing follows, and what it still sends is read, for a moment.
func hangUp(conn net.Conn) {
	defer conn.Close() // 关闭连接
	half, ok := conn.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil {
		conn.SetReadDeadline(time.Now().Add(lingerTimeout))
		io.Copy(io.Discard, conn)
	}
}

// acquire waits for a place. It reports false if Shutdown begins before there is one.
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
