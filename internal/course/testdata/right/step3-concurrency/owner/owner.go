package echo

import (
	"net"
	"time"
)

// The owner is a goroutine to which all that changes belongs: the listener and
// the clients. The others ask it to do something, one after the other, and so
// there is nothing to lock. It ends when Shutdown has begun and the last client
// has left; after that it gets no more questions.
type owner struct {
	ask      chan func(*state)
	stopping chan struct{} // closed when Shutdown begins
	done     chan struct{} // closed when the owner has ended
}

// A state is seen by the owner alone.
type state struct {
	listener net.Listener
	clients  map[net.Conn]bool
	stopping bool
}

func newOwner() *owner {
	o := &owner{ask: make(chan func(*state)), stopping: make(chan struct{}),
		done: make(chan struct{})}
	go o.run()
	return o
}

func (o *owner) run() {
	defer close(o.done)
	st := &state{clients: map[net.Conn]bool{}}
	for !st.stopping || len(st.clients) > 0 {
		(<-o.ask)(st)
	}
}

// do has the owner call f, and reports whether the owner was still there to do
// so.
func (o *owner) do(f func(*state)) bool {
	called := make(chan struct{})
	select {
	case o.ask <- func(st *state) { f(st); close(called) }:
		<-called
		return true
	case <-o.done:
		return false
	}
}

// listen makes ln the listener, unless it is too late for one.
func (o *owner) listen(ln net.Listener) (ok bool) {
	o.do(func(st *state) {
		st.listener = ln
		ok = !st.stopping
	})
	return ok
}

// trackConn makes conn a client, unless it is too late for one.
func (o *owner) trackConn(conn net.Conn) (ok bool) {
	o.do(func(st *state) {
		if ok = !st.stopping; ok {
			st.clients[conn] = true
		}
	})
	return ok
}

func (o *owner) untrackConn(conn net.Conn) { o.do(func(st *state) { delete(st.clients, conn) }) }

func (o *owner) count() (n int) {
	o.do(func(st *state) { n = len(st.clients) })
	return n
}

// stop begins the end, and ends each Read that waits.
func (o *owner) stop() {
	o.do(func(st *state) {
		if st.stopping {
			return
		}
		st.stopping = true
		close(o.stopping)
		if st.listener != nil {
			st.listener.Close()
		}
		for conn := range st.clients {
			conn.SetReadDeadline(time.Now())
		}
	})
}

// kill closes what is left.
func (o *owner) kill() {
	o.do(func(st *state) {
		for conn := range st.clients {
			conn.Close()
		}
	})
}

func (o *owner) isStopping() bool {
	select {
	case <-o.stopping:
		return true
	default:
		return false
	}
}
