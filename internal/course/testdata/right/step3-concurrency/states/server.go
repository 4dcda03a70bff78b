package echo

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Server ends as that of net/http does: Shutdown asks again and again whether
// everybody has left.
type Server struct {
	IdleTimeout  time.Duration
	WriteTimeout time.Duration
	MaxClients   int
	Log          *slog.Logger

	closing atomic.Bool

	mu       sync.Mutex
	changed  *sync.Cond // a place is free, or the server is closing
	listener net.Listener
	cancel   context.CancelFunc // ends a pause of Serve
	conns    map[*clientConn]struct{}
}

var ErrServerClosed = errors.New("the server is closed")

// lock returns with the lock held and everything made.
func (s *Server) lock() (unlock func()) {
	s.mu.Lock()
	if s.changed == nil {
		s.changed = sync.NewCond(&s.mu)
		s.conns = make(map[*clientConn]struct{})
	}
	return s.mu.Unlock
}

func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	unlock := s.lock()
	s.listener, s.cancel = ln, cancel
	unlock()

	var delay time.Duration
	for s.waitForRoom() {
		c, err := ln.Accept()
		if err == nil {
			delay = 0
			s.start(c)
			continue
		}
		if errors.Is(err, net.ErrClosed) && !s.closing.Load() {
			return err
		}
		if delay *= 2; delay == 0 {
			delay = 5 * time.Millisecond
		} else if delay > time.Second {
			delay = time.Second
		}
		if !s.closing.Load() {
			s.log(slog.LevelError, "accept", "err", err, "delay", delay)
		}
		pause(ctx, delay)
	}
	return ErrServerClosed
}

// pause sleeps for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// waitForRoom waits until there is room for one more client, and reports
// whether the server goes on. Serve alone adds clients, so the room is still
// there when it has accepted one.
func (s *Server) waitForRoom() bool {
	defer s.lock()()
	for !s.closing.Load() && s.MaxClients > 0 && len(s.conns) >= s.MaxClients {
		s.changed.Wait()
	}
	return !s.closing.Load()
}

// start serves c, or, at the very end, closes it.
func (s *Server) start(c net.Conn) {
	defer s.lock()()
	if s.closing.Load() {
		c.Close()
		return
	}
	cc := &clientConn{Conn: c, idle: s.IdleTimeout, write: s.WriteTimeout}
	s.conns[cc] = struct{}{}
	go s.handle(cc)
}

func (s *Server) Shutdown(ctx context.Context) error {
	s.beginClosing()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.Clients() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.closeAll()
			return context.Cause(ctx)
		}
	}
	return nil
}

func (s *Server) beginClosing() {
	defer s.lock()()
	s.closing.Store(true)
	s.changed.Broadcast()
	if s.listener != nil {
		s.listener.Close()
		s.cancel()
	}
	for c := range s.conns {
		c.endSoon()
	}
}

func (s *Server) closeAll() {
	defer s.lock()()
	for c := range s.conns {
		c.Close()
	}
}

func (s *Server) Clients() int {
	defer s.lock()()
	return len(s.conns)
}

func (s *Server) log(level slog.Level, msg string, args ...any) {
	l := s.Log
	if l == nil {
		l = slog.Default()
	}
	l.Log(context.Background(), level, msg, args...)
}
