package echo

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// A Server has no lock: what changes belongs to a goroutine of its own.
type Server struct {
	IdleTimeout  time.Duration
	WriteTimeout time.Duration
	MaxClients   int
	Log          *slog.Logger

	once  sync.Once
	owner *owner
}

var ErrServerClosed = errors.New("tcp: server closed")

func (s *Server) theOwner() *owner {
	s.once.Do(func() { s.owner = newOwner() })
	return s.owner
}

func (s *Server) Clients() int { return s.theOwner().count() }

func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	o := s.theOwner()
	if !o.listen(ln) {
		return ErrServerClosed
	}
	// The goroutine that takes a token may accept a client. Without a limit the
	// channel is closed: it always has one.
	tokens := make(chan struct{}, max(s.MaxClients, 0))
	for range cap(tokens) {
		tokens <- struct{}{}
	}
	if cap(tokens) == 0 {
		close(tokens)
	}
	giveBack := func() {
		if cap(tokens) > 0 {
			tokens <- struct{}{}
		}
	}
	retry := time.NewTimer(0)
	defer retry.Stop()
	for wait := time.Duration(0); ; {
		select {
		case <-o.stopping:
			return ErrServerClosed
		case <-tokens:
		}
		conn, err := ln.Accept()
		switch {
		case err == nil:
			wait = 0
		case o.isStopping():
			return ErrServerClosed
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			giveBack()
			wait = min(max(wait*2, 5*time.Millisecond), time.Second)
			s.logger().Warn("cannot accept", "error", err, "pause", wait)
			retry.Reset(wait)
			select {
			case <-retry.C:
			case <-o.stopping:
				return ErrServerClosed
			}
			continue
		}
		if !o.trackConn(conn) {
			conn.Close()
			return ErrServerClosed
		}
		go func() {
			s.process(conn, o)
			sayGoodbye(conn)
			o.untrackConn(conn)
			giveBack()
		}()
	}
}

func (s *Server) Shutdown(ctx context.Context) error {
	o := s.theOwner()
	o.stop()
	select {
	case <-o.done:
		return nil
	case <-ctx.Done():
		o.kill()
		return ctx.Err()
	}
}

func (s *Server) logger() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}
