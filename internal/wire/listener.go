package wire

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A Listener is a [net.Listener] in memory. The test scripts its clients and
// its errors. A client that isn't accepted yet waits, as in a kernel's backlog,
// and may send meanwhile.
type Listener struct {
	t       *T
	mu      sync.Mutex
	changed sync.Cond
	closed  bool
	errs    []error // what the next calls of Accept return
	backlog []*Peer
	calls   []time.Time
	idle    int // calls in a row that failed at once, without a pause
	hook    func()

	accepting int // goroutines that wait in Accept
	counter   *counter
}

// Listen returns a new listener.
func (t *T) Listen() *Listener {
	l := &Listener{t: t, counter: t.guard.counter()}
	l.changed.L = &l.mu
	t.listeners = append(t.listeners, l)
	return l
}

// Dial connects a client. It succeeds whether or not the code under test calls
// Accept. The connection is reset if the listener is closed.
func (l *Listener) Dial() *Peer {
	test, conn := newPipe(l.t.clientName(), l.t.guard)
	client := l.t.add(test, conn)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		conn.Reset()
		return client
	}
	l.backlog = append(l.backlog, client)
	l.changed.Broadcast()
	return client
}

// Fail makes the next calls of Accept return these errors, one each, before any
// client. Accept wraps them as a [net.TCPListener] does.
func (l *Listener) Fail(errs ...error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, errs...)
	l.changed.Broadcast()
}

// OnAccept makes Accept call f after a client has left the backlog, before it
// returns the client. f may sleep.
func (l *Listener) OnAccept(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hook = f
}

// Accept returns the next scripted error, or else the client that has waited
// longest. It waits until there is one of them.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.guard.enter(l.counter, true)
	l.t.guard.crowd(l.accepting, "Accept")
	l.calls = append(l.calls, time.Now())
	waited := false
	for {
		switch {
		case l.closed:
			return nil, l.fail(net.ErrClosed, waited)
		case len(l.errs) > 0:
			err := l.errs[0]
			l.errs = l.errs[1:]
			return nil, l.fail(err, waited)
		case len(l.backlog) > 0:
			client := l.backlog[0]
			l.backlog = l.backlog[1:]
			l.idle = 0
			if l.hook != nil {
				l.call(l.hook)
			}
			return client.conn.peer, nil
		}
		waited = true
		l.accepting++
		l.changed.Wait()
		l.accepting--
		l.t.guard.enter(l.counter, true)
	}
}

// call calls a hook without the lock, which the caller holds.
func (l *Listener) call(hook func()) {
	l.mu.Unlock()
	defer l.mu.Lock() // even if hook panics, the caller will unlock it
	hook()
}

// fail wraps err. It ends the calling goroutine if that keeps calling Accept
// without a pause while Accept keeps failing.
func (l *Listener) fail(err error, waited bool) error {
	n := len(l.calls)
	paused := waited || n > 1 && l.calls[n-1].After(l.calls[n-2])
	l.t.guard.idle(&l.idle, paused, "Accept", err)
	if errno, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError("accept", errno)
	}
	return &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: err}
}

// Close stops listening. Any blocked Accept, and every later one, returns
// net.ErrClosed. Close resets the clients that weren't accepted.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
	l.closed = true
	for _, client := range l.backlog {
		client.conn.peer.Reset()
	}
	l.backlog = nil
	l.changed.Broadcast()
	return nil
}

// Addr returns 127.0.0.1:20000, a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return serverName }

// Closed reports whether the code under test has closed the listener.
func (l *Listener) Closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Calls returns the times of all calls of Accept. In a bubble, the time between
// two calls is exactly the pause of the code under test.
func (l *Listener) Calls() []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]time.Time(nil), l.calls...)
}

// Waiting returns how many clients haven't been accepted yet.
func (l *Listener) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.backlog)
}

// A PlainListener accepts connections that have the methods of [net.Conn]
// alone, so not CloseWrite.
type PlainListener struct{ net.Listener }

// Accept returns the next connection.
func (ln PlainListener) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{conn}, nil
}
