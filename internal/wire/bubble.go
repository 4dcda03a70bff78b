package wire

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
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
	lent      []*Conn // those of them that it is not to close
	used      *Conn   // the one of them that the test had to do with last
	listeners []*Listener
	keyboards []*Keyboard
	ours      int // goroutines of the bubble before the code under test has any
}

// An exercise in a bubble takes milliseconds. One in which for tooLong ticks of real time
// nobody has called Read, Write or Accept will never end.
const (
	tooLong = 150
	tick    = 10 * time.Millisecond
)

// runaway is set when a goroutine of the code under test could not be stopped.
var runaway bool

// Test runs f in a bubble of its own. When f returns or fails, whatever waits in Read or
// Accept is ended where it stands, as by [runtime.Goexit], what waits in Write
// gets an error, and the rest of the code under test must end by itself.
//
// What would end the whole test binary otherwise is a failure of this exercise:
// a panic in a function that [T.Go] started, a loop without end, a goroutine that
// is blocked for ever.
func Test(e *lesson.Exercise, f func(t *T)) {
	e.Helper()
	if runaway {
		e.Skip("a goroutine of an earlier exercise cannot be stopped, and is still running")
	}
	output := lesson.CaptureOutput(e)
	g := new(guard)
	done := make(chan any, 1)
	go func() {
		// synctest.Test may end this goroutine by Goexit: recover returns nil then.
		defer func() { done <- recover() }()
		synctest.Test(e.T, func(st *testing.T) {
			t := &T{Exercise: e.In(st), guard: g, ours: bubbled()}
			defer t.finish(output)
			f(t)
		})
	}()
	blocked, ended := watch(done, g)
	if !ended {
		runaway = true
		if trouble := g.first(); trouble != "" {
			e.Errorf("%s", trouble) // what it held then, others wait for now
		} else {
			e.Errorf("the program does not end, and has not called Read, Write or Accept for more than a second: it goes round in a loop, "+
				"or %s", lesson.ReasonToWait())
		}
		lesson.ShowOutput(e.T, output.String())
		output.Mute()
		e.FailNow()
	}
	output.Restore()
	if blocked && !g.hasCut() && !e.Failed() {
		e.Fatalf("the program has left a goroutine behind that never ends: nobody uses the connection any more, and it waits for something else, " +
			"a channel, a WaitGroup or a Cond")
	}
	if e.Failed() {
		e.FailNow()
	}
}

// watch waits until the bubble is done, and reports whether synctest panicked because a goroutine
// was left; or until nothing has happened for too long.
func watch(done <-chan any, g *guard) (blocked, ended bool) {
	calls := int64(0)
	for quiet := 0; quiet < tooLong; quiet++ {
		select {
		case problem := <-done:
			return problem != nil, true
		case <-time.After(tick):
		}
		if n := g.count(); n != calls {
			calls, quiet = n, 0
		}
	}
	return false, false
}

// Client returns both ends of a new connection for code that serves: the client
// is the test's, conn is what Accept would have returned.
func (t *T) Client() (client *Peer, conn *Conn) {
	test, conn := newPipe(t.clientName(), serverName, t.guard)
	return t.add(test, conn), conn
}

// Lend is Client for code that uses conn and does not own it: to close it is for others, and
// the picture does not say that it is open.
func (t *T) Lend() (client *Peer, conn *Conn) {
	client, conn = t.Client()
	t.lent = append(t.lent, conn)
	return client, conn
}

// Server returns both ends of a new connection for code that is a client: the
// server is the test's, conn is what Dial would have returned.
func (t *T) Server() (server *Peer, conn *Conn) {
	conn, test := newPipe(t.clientName(), serverName, t.guard)
	return t.add(test, conn), conn
}

// clientName gives each client a port of its own, as the kernel does.
func (t *T) clientName() net.Addr {
	return &net.TCPAddr{IP: clientName.IP, Port: clientName.Port + len(t.conns)}
}

func (t *T) add(test, conn *Conn) *Peer {
	test.guard = nil // the test may do as it likes
	conn.link.picture.Clock = time.Now
	t.conns = append(t.conns, conn)
	t.used = conn
	return &Peer{t: t, conn: test}
}

// Go runs f, a call of the code under test, in a goroutine.
func (t *T) Go(f func()) *Task {
	task := &Task{t: t}
	t.tasks = append(t.tasks, task)
	go func() {
		defer task.ended.Store(true)
		defer func() {
			switch value := recover(); value {
			case nil:
			case "unexpected call to os.Exit(0) during test":
				t.guard.report("the program called os.Exit" + where() + ", which ends everything, whoever else is being served")
			default:
				t.guard.report(fmt.Sprintf("the program panicked%s: %v. That ends all of it, whoever else is being served", where(), value))
			}
		}()
		f()
		task.returned.Store(true)
	}()
	return task
}

// Call is Go for a function that returns an error, which [Task.Err] tells.
func (t *T) Call(f func() error) *Task {
	var task *Task
	started := make(chan struct{})
	task = t.Go(func() {
		<-started
		task.err = f()
	})
	close(started)
	return task
}

// A Task is a call of the code under test that runs in a goroutine.
type Task struct {
	t        *T
	err      error // what the call has returned
	returned atomic.Bool
	ended    atomic.Bool // returned, panicked, or was stopped because it went round in a loop
}

// Returned waits until the call has returned, and reports whether it has. As a
// [Peer], it waits for a second of the bubble's time at the most.
func (k *Task) Returned() bool {
	k.t.Helper()
	return k.t.Until(k.returned.Load)
}

// Err returns the error that the call has returned; nil if it has not returned.
func (k *Task) Err() error {
	if !k.returned.Load() {
		return nil
	}
	return k.err
}

// String says in a few words what has become of the call, as a part of a failure's message:
// "it is still running", "it has returned nil".
func (k *Task) String() string {
	switch {
	case !k.returned.Load():
		return "it is still running"
	case k.err == nil:
		return "it has returned nil"
	}
	return fmt.Sprintf("it has returned the error %q", k.err)
}

// Goroutines returns how many goroutines the code under test has, being at rest.
func (t *T) Goroutines() int {
	t.Helper()
	t.Wait()
	return bubbled() - t.ours
}

// bubbled returns the number of goroutines in bubbles.
func bubbled() int {
	stacks := make([]byte, 1<<20)
	return len(inBubble.FindAll(stacks[:runtime.Stack(stacks, true)], -1))
}

// inBubble matches the first line of what runtime.Stack says of a goroutine in a bubble.
var inBubble = regexp.MustCompile(`(?m)^goroutine \d+ [^\n]*\[[^\n]*synctest bubble`)

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

// finish runs at the end of f, draws what happened if it failed, and ends the
// code under test.
func (t *T) finish(output *lesson.Output) {
	synctest.Wait()
	if trouble := t.guard.first(); trouble != "" && !t.Failed() {
		t.Errorf("%s", trouble)
	}
	if t.Failed() {
		if len(t.conns) > 0 {
			fmt.Fprintf(t.Output(), "\n%s", t.draw())
		}
		lesson.ShowOutput(t.T, output.String())
	}
	t.guard.end()
	for _, l := range t.listeners {
		l.changed.Broadcast()
	}
	for _, k := range t.keyboards {
		k.changed.Broadcast()
	}
	for _, c := range t.conns {
		c.link.changed.Broadcast()
	}
	synctest.Wait()
	time.Sleep(time.Hour) // whoever sleeps wakes up, and ends
	synctest.Wait()
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
		pictures = append(pictures, strings.Repeat(" ", margin-2)+fmt.Sprintf("(and %s not drawn)\n", count(more, "connection")))
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
	lent := slices.Contains(t.lent, c)
	switch {
	case t.guard.first() != "":
	case t.idle() && len(t.tasks) > 0 && !lent:
		states = append(states, "returned")
	case c.writing > 0:
		states = append(states, "waits in Write")
	case c.reading > 0:
		states = append(states, "waits for more")
	}
	if c.in.size > 0 {
		states = append(states, count(c.in.size, "byte")+" unread")
	}
	if (c.in.ended || t.idle()) && !lent {
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
