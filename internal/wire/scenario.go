package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/tcp-steps/internal/lesson"
)

// A T is the t of a scenario in [Test]. It makes what the scenario needs.
type T struct {
	*lesson.Exercise
	guard     *guard
	output    *lesson.Output
	tasks     []*Task
	conns     []*Conn // the code under test's ends
	lent      []*Conn // the ends that the code under test doesn't own
	used      *Conn   // the end whose peer the test used last
	listeners []*Listener
	keyboards []*Keyboard
	ours      int // goroutines in bubbles that aren't the code under test's

	late     string // a failure found at the bubble's end, for Test to report
	shown    string // the picture and the output below that failure
	finished bool   // finish has begun, so f didn't block the bubble
}

// run runs f in a goroutine of its own, because the guard may end it: f may
// call the code under test itself, without [T.Go].
func (t *T) run(f func(t *T)) {
	ended := make(chan struct{})
	t.Go(func() {
		defer close(ended)
		t.tasks = nil // f itself is no task
		f(t)
	})
	<-ended
}

// Test runs f, one situation of an exercise, in a bubble of its own. The
// scenario's name, a phrase that says what's going on, begins each failure.
//
// When f has returned or failed, Test ends the code under test. A goroutine in
// Read or Accept ends there, as by [runtime.Goexit], and a Write that waits
// returns an error. A later call of any of them ends its goroutine. All other
// goroutines must end by themselves.
//
// Some mistakes would end the whole test binary: a panic in a function that
// [T.Go] started, a busy loop, goroutines or memory without end, a goroutine
// that's blocked forever. Test makes each of them a failure of this exercise.
func Test(e *lesson.Exercise, scenario string, f func(t *T)) {
	e.Helper()
	e = e.Scenario(scenario)
	output := lesson.CaptureOutput(e)
	g := new(guard)
	newest.Store(g)
	var t *T
	done := make(chan struct{})
	go func() {
		defer close(done)
		// synctest.Test panics if it leaves a goroutine behind, which finish
		// has reported already. If st failed, it calls Goexit.
		defer func() { recover() }()
		synctest.Test(e.T, func(st *testing.T) {
			t = &T{Exercise: e.In(st), guard: g, output: output}
			t.ours = bubbled() + 1 // f's goroutine
			defer t.finish()
			t.run(f)
		})
	}()
	if trouble := watch(done, g, output); trouble != "" {
		// Only the end of the process stops the code under test.
		lesson.Abort(trouble, lesson.OutputText(output.String()))
	}
	if t != nil && !t.finished {
		t.late = fmt.Sprintf(`
			The program waits forever: %s.

			Nothing in the scenario will ever wake it up.`, lesson.ReasonToWait())
		t.show()
	}
	output.Restore()
	if t != nil && t.late != "" {
		e.Errorf("%s", t.late)
		fmt.Fprint(e.Output(), t.shown)
	}
	if e.Failed() {
		e.FailNow()
	}
}

// A scenario in a bubble takes milliseconds. At more than this, Test takes the
// code under test for endless.
const (
	tick       = 10 * time.Millisecond
	maxQuiet   = 150      // ticks without any call of Read, Write or Accept
	maxTrouble = 30       // ticks after the guard has found something
	maxOutput  = 64 << 20 // bytes
)

// watch waits until done is closed and returns "". If the code under test is
// endless, watch returns the message of a failure instead.
func watch(done <-chan struct{}, g *guard, output *lesson.Output) (trouble string) {
	calls, quiet, troubled := int64(0), 0, 0
	for {
		select {
		case <-done:
			return ""
		case <-time.After(tick):
		}
		if n := g.count(); n != calls {
			calls, quiet = n, 0
		}
		found := g.first()
		if found != "" {
			troubled++
		}
		quiet++
		switch {
		case output.Size() > maxOutput:
			return fmt.Sprintf(`
				The program printed %d MiB.

				The loop around its output never ends.`, output.Size()>>20)
		case troubled > maxTrouble:
			return found
		case quiet > maxQuiet:
			return "The program is stuck: it called no Read, Write or Accept for over " +
				"a second.\n\nRight now " + lesson.ReasonToWait() + "."
		}
	}
}

// Client returns both ends of a new connection, for code that serves. The test
// has client. conn is what Accept would have returned.
func (t *T) Client() (client *Peer, conn *Conn) {
	test, conn := newPipe(t.clientName(), t.guard)
	return t.add(test, conn), conn
}

// Lend is Client for code that uses conn without owning it. That code needn't
// close conn, so the picture doesn't say that it's open.
func (t *T) Lend() (client *Peer, conn *Conn) {
	client, conn = t.Client()
	t.lent = append(t.lent, conn)
	return client, conn
}

// Server returns both ends of a new connection, for code that's a client. The
// test has server. conn is what Dial would have returned.
func (t *T) Server() (server *Peer, conn *Conn) {
	conn, test := newPipe(t.clientName(), t.guard)
	return t.add(test, conn), conn
}

// Serve calls server.Serve with a new listener, in a goroutine, as a program's
// main would.
func (t *T) Serve(server interface{ Serve(net.Listener) error }) (ln *Listener, serving *Task) {
	ln = t.Listen()
	return ln, t.Call(func() error { return server.Serve(ln) })
}

// RunClient calls run, a client, with a keyboard, a screen, and a connection
// whose other end, the server, is the test.
func (t *T) RunClient(run func(conn net.Conn, in io.Reader, out io.Writer) error) (
	keyboard *Keyboard, screen *Screen, server *Peer, running *Task,
) {
	server, conn := t.Server()
	keyboard, screen = t.Keyboard(), t.Screen()
	running = t.Call(func() error { return run(conn, keyboard, screen) })
	return keyboard, screen, server, running
}

// EndBothSides ends a client's input, and closes the server's end at the same
// time. Which of the two comes first is unpredictable, so EndBothSides tries
// often. What the client returns doesn't matter: only the race detector can
// fail this.
func (t *T) EndBothSides(run func(conn net.Conn, in io.Reader, out io.Writer) error) {
	for range 50 {
		keyboard, _, server, running := t.RunClient(run)
		keyboard.Type("one\n")
		server.Receive()
		keyboard.End()
		server.Close()
		running.Returned()
	}
}

// ShutDownDuringWrites calls server.Shutdown while the server answers a message
// to each of two clients, which it returns. When Shutdown has set one client's
// deadline and is about to set the other's, the first one's Write goes on, and
// the server's code behind it may run before Shutdown does.
func (t *T) ShutDownDuringWrites(server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
}, message string) []*Peer {
	ln, _ := t.Serve(server)
	clients := []*Peer{ln.Dial(), ln.Dial()}
	for _, client := range clients {
		client.Hold(0)
		client.Send(message)
	}
	t.Wait() // the server waits in two Writes
	var set atomic.Int32
	for i, other := range []*Peer{clients[1], clients[0]} {
		clients[i].OnReadDeadline(func() {
			// Shutdown has set one deadline when it sets the other one.
			if set.Add(1) == 2 {
				other.Hold(NoLimit)
				Yield() // process goes on to its next Read
			}
		})
	}
	t.Call(func() error { return server.Shutdown(context.Background()) })
	t.Wait()
	for _, client := range clients {
		client.OnReadDeadline(nil)
		client.Hold(NoLimit)
	}
	return clients
}

// clientName returns the next client's address, with a port of its own, as the
// kernel picks one.
func (t *T) clientName() net.Addr {
	return &net.TCPAddr{IP: clientName.IP, Port: clientName.Port + len(t.conns)}
}

// add adds a connection to the scenario. test is the test's end, conn the code
// under test's.
func (t *T) add(test, conn *Conn) *Peer {
	test.guard = nil // the test may do as it likes
	conn.link.picture.Clock = time.Now
	t.conns = append(t.conns, conn)
	t.used = conn
	return &Peer{t: t, conn: test}
}

// Printed returns what the code under test has printed in this scenario so far,
// at most the first MiB. It doesn't see what goes to an os.Stdout that was kept
// before the scenario began, in a package variable for example.
func (t *T) Printed() string { return t.output.String() }

// Sleep is time.Sleep, for hours. Code that looks at the clock every few
// milliseconds is busy meanwhile; with time.Sleep, [Test] would take it for
// stuck.
func (t *T) Sleep(d time.Duration) {
	calls := t.guard.counter()
	for ; d > 0; d -= time.Minute {
		time.Sleep(min(d, time.Minute))
		calls.n.Add(1)
	}
}

// Wait waits until the code under test is at rest: each of its goroutines has
// ended, or waits for something, such as a timer. No time passes. Wait fails
// the exercise if the code under test has panicked or was stopped.
func (t *T) Wait() {
	t.Helper()
	synctest.Wait()
	t.check()
}

// Until waits until holds returns true, for at most a second of the bubble's
// time, and reports whether it did. It calls holds while the code under test is
// at rest.
func (t *T) Until(holds func() bool) bool {
	t.Helper()
	for waited := time.Duration(0); ; waited += step {
		t.Wait()
		if held := holds(); held || waited >= patience {
			return held
		}
		time.Sleep(step)
	}
}

// Goroutines waits until the code under test is at rest, and returns how many
// goroutines it has.
func (t *T) Goroutines() int {
	t.Helper()
	t.Wait()
	return bubbled() - t.ours
}

// bubbled returns the number of goroutines in bubbles.
func bubbled() (n int) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		header, _, _ := bytes.Cut(stack, []byte("\n"))
		if bytes.Contains(header, []byte("synctest bubble")) {
			n++
		}
	}
	return n
}

// Errorf reports a failure. If a goroutine of the code under test is panicking,
// that's the cause: then Errorf lets its deferred calls go on, so that the
// panic ends the process, or its Task, and says why. If they don't end, Errorf
// reports the panic's line.
func (t *T) Errorf(format string, args ...any) {
	t.Helper()
	if lesson.Panicking() != "" && t.guard.first() == "" {
		t.Sleep(time.Hour)
		if trouble := t.guard.first(); trouble != "" {
			format, args = "%s", []any{trouble}
		} else if line := lesson.Panicking(); line != "" {
			format, args = `
				A goroutine of the program panicked at %s.

				Its deferred calls never end. Until they do, the goroutine goes no further, and
				nothing says why it panicked.`, []any{line}
		}
	}
	t.Exercise.Errorf(format, args...)
}

// Fatalf is Errorf, then FailNow.
func (t *T) Fatalf(format string, args ...any) {
	t.Helper()
	t.Errorf(format, args...)
	t.FailNow()
}

// check fails the exercise if the code under test has panicked or was stopped.
func (t *T) check() {
	t.Helper()
	if trouble := t.guard.first(); trouble != "" {
		t.Fatalf("%s", trouble)
	}
}

// finish runs at the end of f. It draws what happened, ends the code under test
// and looks for goroutines that it left behind.
func (t *T) finish() {
	t.finished = true
	synctest.Wait()
	t.ours-- // f has ended
	if !t.Failed() {
		t.late = t.guard.first()
	}
	t.show()
	if t.Failed() {
		fmt.Fprint(t.Output(), t.shown)
	}
	t.endAll()
	synctest.Wait()
	time.Sleep(time.Hour) // sleeping goroutines wake up and end
	synctest.Wait()
	if !t.Failed() && t.late == "" && !t.guard.hasCut() && bubbled() > t.ours {
		t.late = fmt.Sprintf(`
			At the end, the program left a goroutine behind that never ends: %s.

			That's a goroutine leak. The connections are closed, so what it waits for can't
			come any more. It stays in memory, with everything it holds.`,
			lesson.ReasonToWait())
	}
}

// show keeps the picture and the output, to be shown below a failure.
func (t *T) show() {
	if picture := t.draw(); picture != "" {
		t.shown = "\n" + picture
	}
	t.shown += lesson.OutputText(t.output.String())
}

// endAll ends the goroutines of the code under test that use the wire.
func (t *T) endAll() {
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
}

// isLent reports whether the code under test doesn't own c.
func (t *T) isLent(c *Conn) bool { return slices.Contains(t.lent, c) }
