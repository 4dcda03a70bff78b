package wire

import (
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/tcp-steps/internal/lesson"
)

// A T is the exercise inside of [Test], and makes what the exercise needs.
type T struct {
	*lesson.Exercise
	guard     *guard
	tasks     []*Task
	conns     []*Conn // the ends that the code under test has
	used      *Conn   // the one of them that the test had to do with last
	listeners []*Listener
}

// tooLong is the real time after which an exercise in a bubble, which takes
// milliseconds, will never end.
const tooLong = 10 * time.Second

// Test runs f in a bubble of its own. When f returns or fails, whatever waits on the
// wire is ended where it stands, as by [runtime.Goexit], and the rest of the code
// under test must end by itself.
//
// What would end the whole test binary otherwise is a failure of this exercise:
// a panic in a function that [T.Go] started, a loop without end, a goroutine that
// is blocked for ever.
func Test(e *lesson.Exercise, f func(t *T)) {
	e.Helper()
	output, restore := captureOutput(e.T)
	defer restore()
	guard := new(guard)
	done := make(chan any, 1)
	go func() {
		// synctest.Test may end this goroutine by Goexit: recover returns nil then.
		defer func() { done <- recover() }()
		synctest.Test(e.T, func(st *testing.T) {
			t := &T{Exercise: e.In(st), guard: guard}
			defer t.finish(output)
			f(t)
		})
	}()
	select {
	case problem := <-done:
		if problem != nil && !guard.hasCut() {
			e.Fatalf("the program has left a goroutine behind that never ends: nobody uses the connections any more, and it waits for something else, "+
				"a channel, a WaitGroup or a Cond (%v)", problem)
		}
	case <-time.After(tooLong):
		e.Fatalf("the program did not come to rest in %v: it goes round in a loop that does not touch the connection, "+
			"or waits for a lock that nobody gives back", tooLong)
	}
	if e.Failed() {
		e.FailNow()
	}
}

// Client returns both ends of a new connection for code that serves: the client
// is the test's, conn is what Accept would have returned.
func (t *T) Client() (client *Peer, conn *Conn) {
	test, conn := newPipe(t.clientName(), serverName, t.guard)
	return t.add(test, conn, true), conn
}

// Server returns both ends of a new connection for code that is a client: the
// server is the test's, conn is what Dial would have returned.
func (t *T) Server() (server *Peer, conn *Conn) {
	conn, test := newPipe(t.clientName(), serverName, t.guard)
	return t.add(test, conn, true), conn
}

// clientName gives each client a port of its own, as the kernel does.
func (t *T) clientName() net.Addr {
	return &net.TCPAddr{IP: clientName.IP, Port: clientName.Port + len(t.conns)}
}

func (t *T) add(test, conn *Conn, accepted bool) *Peer {
	test.guard = nil // the test may do as it likes
	conn.link.picture.Clock = time.Now
	t.conns = append(t.conns, conn)
	t.used = conn
	return &Peer{t: t, conn: test, accepted: accepted}
}

// Go runs f, a call of the code under test, in a goroutine.
func (t *T) Go(f func()) *Task {
	task := &Task{t: t}
	t.tasks = append(t.tasks, task)
	go func() {
		defer task.ended.Store(true)
		defer func() {
			if value := recover(); value != nil {
				t.guard.report(fmt.Sprintf("the program panicked%s: %v", where(), value))
			}
		}()
		f()
		task.returned.Store(true)
	}()
	return task
}

// A Task is a call of the code under test that runs in a goroutine.
type Task struct {
	t        *T
	returned atomic.Bool
	ended    atomic.Bool // returned, panicked, or was stopped because it went round in a loop
}

// Returned reports whether, all being at rest, the call has returned. It gives
// code that pauses a second of the bubble's time.
func (k *Task) Returned() bool {
	k.t.Helper()
	for range 100 {
		synctest.Wait()
		k.t.check()
		if k.ended.Load() || k.t.waitsOnWire() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return k.returned.Load()
}

// Wait waits until the code under test has come to rest: each of its goroutines
// has ended or waits, be it for the time.
func (t *T) Wait() {
	t.Helper()
	synctest.Wait()
	t.check()
}

// check fails the exercise if the code under test has panicked or was stopped.
func (t *T) check() {
	t.Helper()
	if trouble := t.guard.first(); trouble != "" {
		t.Fatalf("%s", trouble)
	}
}

// idle reports whether no call of the code under test is running any more.
func (t *T) idle() bool {
	for _, task := range t.tasks {
		if !task.ended.Load() {
			return false
		}
	}
	return true
}

func (t *T) waitsOnWire() bool {
	for _, c := range t.conns {
		c.link.mu.Lock()
		waits := c.reading+c.writing > 0
		c.link.mu.Unlock()
		if waits {
			return true
		}
	}
	for _, l := range t.listeners {
		l.mu.Lock()
		waits := l.waiting > 0
		l.mu.Unlock()
		if waits {
			return true
		}
	}
	return false
}

// finish runs at the end of f, draws what happened if it failed, and ends the
// code under test.
func (t *T) finish(output func() string) {
	synctest.Wait()
	if trouble := t.guard.first(); trouble != "" && !t.Failed() {
		t.Errorf("%s", trouble)
	}
	if t.Failed() {
		if len(t.conns) > 0 {
			fmt.Fprintf(t.Output(), "\n%s", t.draw())
		}
		lesson.ShowOutput(t.T, output())
	}
	t.guard.end()
	for _, l := range t.listeners {
		l.changed.Broadcast()
	}
	for _, c := range t.conns {
		c.link.changed.Broadcast()
	}
	synctest.Wait()
	if !t.idle() {
		time.Sleep(time.Hour) // whoever sleeps wakes up
		synctest.Wait()
	}
}

// draw returns the pictures of two connections at most: the first one, and the
// one that the test had to do with last.
func (t *T) draw() string {
	var pictures []string
	for i, c := range t.conns {
		if c != t.used && i > 0 {
			continue
		}
		if len(t.conns) > 1 {
			c.link.picture.Name = fmt.Sprint(i + 1)
		}
		var states [2][]string
		states[c.side] = t.states(c)
		pictures = append(pictures, c.link.picture.Draw(states[Client], states[Server]))
	}
	if more := len(t.conns) - len(pictures); more > 0 {
		pictures = append(pictures, fmt.Sprintf("(and %s not drawn)\n", count(more, "connection")))
	}
	return strings.Join(pictures, "\n")
}

// states says what the code under test does at its end of a connection.
func (t *T) states(c *Conn) []string {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return nil
	}
	var states []string
	switch {
	case t.guard.first() != "":
	case t.idle() && len(t.tasks) > 0:
		states = append(states, "returned")
	case c.writing > 0:
		states = append(states, "waits in Write")
	case c.reading > 0:
		states = append(states, "waits for more")
	}
	if c.in.size > 0 {
		states = append(states, count(c.in.size, "byte")+" unread")
	}
	if c.in.ended || t.idle() {
		states = append(states, "has not closed")
	}
	return states
}

// where says at which line of the code under test the panic that is being
// recovered happened: " at main.go:23".
func where() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		host, _, _ := strings.Cut(frame.Function, "/")
		if strings.Contains(host, ".") && strings.Contains(frame.Function, "/") &&
			!strings.Contains(frame.Function, "/internal/") {
			return fmt.Sprintf(" at %s:%d", filepath.Base(frame.File), frame.Line)
		}
		if !more {
			return ""
		}
	}
}
