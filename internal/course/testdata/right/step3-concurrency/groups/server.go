package echo

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// A Server has two goroutines for each client: one reads, and one waits for a
// message, for the end of its patience, or for the end of the server, whichever
// is first.
type Server struct {
	IdleTimeout  time.Duration
	WriteTimeout time.Duration
	MaxClients   int
	Log          *slog.Logger

	init    sync.Once
	ending  context.Context // done when Shutdown begins
	end     context.CancelFunc
	killing context.Context // done when what is left is closed
	kill    context.CancelFunc

	mu      sync.Mutex // held to add to group, so that nobody does so once somebody may wait for it
	group   sync.WaitGroup
	clients int
}

var ErrServerClosed = errors.New("closed")

func (s *Server) prepare() {
	s.init.Do(func() {
		s.ending, s.end = context.WithCancel(context.Background())
		s.killing, s.kill = context.WithCancel(context.Background())
		if s.Log == nil {
			s.Log = slog.Default()
		}
	})
}

func (s *Server) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients
}

// join takes one more client, unless the server is ending. It calls work, and
// leave when the client counts no more.
func (s *Server) join(work, leave func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending.Err() != nil {
		return false
	}
	s.clients++
	s.group.Go(func() {
		defer leave()
		defer func() {
			s.mu.Lock()
			s.clients--
			s.mu.Unlock()
		}()
		work()
	})
	return true
}

func (s *Server) Serve(ln net.Listener) error {
	s.prepare()
	defer context.AfterFunc(s.ending, func() { ln.Close() })()
	defer ln.Close()

	limited := s.MaxClients > 0
	taken := make(chan struct{}, max(1, s.MaxClients))
	release := func() {
		if limited {
			<-taken
		}
	}
	failures := 0
	for {
		if limited {
			select {
			case taken <- struct{}{}:
			case <-s.ending.Done():
				return ErrServerClosed
			}
		}
		conn, err := ln.Accept()
		if s.ending.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return ErrServerClosed
		}
		if err != nil {
			release()
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			failures++
			s.Log.Warn("Accept failed", "times", failures, "err", err)
			select {
			case <-time.After(backOff(failures)):
			case <-s.ending.Done():
				return ErrServerClosed
			}
			continue
		}
		failures = 0
		if !s.join(func() { s.serveOne(conn) }, release) {
			conn.Close()
			return ErrServerClosed
		}
	}
}

// backOff returns how long to wait after so many failures in a row.
func backOff(failures int) time.Duration {
	if failures > 8 {
		return time.Second
	}
	return 5 * time.Millisecond << (failures - 1)
}

func (s *Server) Shutdown(ctx context.Context) error {
	s.prepare()
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	everybodyHasLeft := make(chan struct{})
	go func() {
		s.group.Wait()
		close(everybodyHasLeft)
	}()
	select {
	case <-everybodyHasLeft:
		return nil
	case <-ctx.Done():
		s.kill()
		return ctx.Err()
	}
}
