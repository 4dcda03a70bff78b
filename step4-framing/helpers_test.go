package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/wire"
)

// frames returns what goes over the wire for the given payloads.
func frames(payloads ...string) string {
	var bytes []byte
	for _, payload := range payloads {
		bytes = binary.BigEndian.AppendUint32(bytes, uint32(len(payload)))
		bytes = append(bytes, payload...)
	}
	return string(bytes)
}

// send writes a frame for each payload, flushes once, and returns the first error.
func send(t *wire.T, w *Writer, payloads ...string) error {
	t.Helper()
	var errs []error
	done := t.Go(func() {
		for _, payload := range payloads {
			errs = append(errs, w.WriteFrame([]byte(payload)))
		}
		errs = append(errs, w.Flush())
	}).Returned()
	if !done {
		return errWaits
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A result is what a call of ReadFrame came to.
type result struct {
	payload string
	err     error
}

var errWaits = errors.New("(none: the call has not returned, and waits)")

// next calls ReadFrame. The payload is a copy.
func next(t *wire.T, r *Reader) result {
	t.Helper()
	var got result
	done := t.Go(func() {
		payload, err := r.ReadFrame()
		got = result{string(payload), err}
	}).Returned()
	if !done {
		return result{err: errWaits}
	}
	return got
}

// String completes the sentence "ReadFrame …".
func (r result) String() string {
	switch {
	case r.err == errWaits:
		return "did not return, and waited for more"
	case r.err != nil:
		return fmt.Sprintf("returned the error %q", r.err)
	case r.payload == "":
		return "returned no byte, and no error"
	}
	return "returned " + wire.Show(r.payload)
}

// An endless is a stream that repeats itself. It fails for those who read on and on.
type endless struct {
	bytes string
	at    int
	taken int // since the test has set it to 0
}

func (s *endless) Read(p []byte) (int, error) {
	n := copy(p, s.bytes[s.at:])
	s.at = (s.at + n) % len(s.bytes)
	if s.taken += n; s.taken > 64<<20 {
		return 0, errors.New("64 MiB were read, and no frame was found in them")
	}
	return n, nil
}

// A slowConn is a connection on which the first Write takes its time. As on TCP,
// only one Write at a time brings bytes onto the wire, and the others wait; but a goroutine can be
// made to wait when all its bytes are on the wire and Write has not returned yet, or when none are and Write has not really begun.
type slowConn struct {
	takes   func(size int) int // how many bytes of the first Write are on the wire before it stops
	stopped chan struct{}      // closed when it has stopped
	goOn    chan struct{}      // closed when it may go on
	mu      sync.Mutex
	began   bool
	wire    []byte
}

func newSlowConn(takes func(size int) int) *slowConn {
	return &slowConn{takes: takes, stopped: make(chan struct{}), goOn: make(chan struct{})}
}

func (c *slowConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.began {
		defer c.mu.Unlock()
		c.wire = append(c.wire, p...)
		return len(p), nil
	}
	c.began = true
	n := c.takes(len(p))
	c.wire = append(c.wire, p[:n]...)
	within := 0 < n && n < len(p) // so that no other one can begin
	if !within {
		c.mu.Unlock()
	}
	close(c.stopped)
	<-c.goOn
	if !within {
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	c.wire = append(c.wire, p[n:]...)
	return len(p), nil
}

// A call is code under test that runs in a goroutine outside of a bubble, since a goroutine
// that waits for a Mutex would stop the time in it.
type call struct {
	e         *lesson.Exercise
	done      chan struct{}
	panicked  any
	goroutine string
}

func start(e *lesson.Exercise, f func()) *call {
	c := &call{e: e, done: make(chan struct{})}
	named := make(chan string)
	go func() {
		defer close(c.done)
		defer func() { c.panicked = recover() }()
		stack := make([]byte, 64)
		named <- strings.Fields(string(stack[:runtime.Stack(stack, false)]))[1] // "goroutine 7 [running]:"
		f()
	}()
	c.goroutine = <-named
	return c
}

// wait waits until the call has returned.
func (c *call) wait() {
	c.e.Helper()
	select {
	case <-c.done:
	case <-time.After(5 * time.Second):
		c.e.Fatalf("WriteFrame or Flush has not returned for 5 seconds: %s", lesson.ReasonToWait())
	}
	if c.panicked != nil {
		c.e.Fatalf("WriteFrame or Flush panicked while another goroutine used the same Writer: %v. A slice that two goroutines change at a time "+
			"can have any length", c.panicked)
	}
}

// rest waits until the call has returned, or until it can go no further: it waits for
// something that another goroutine must do.
func (c *call) rest() {
	state := regexp.MustCompile(`(?m)^goroutine ` + c.goroutine + ` (gp=\S+ )?(m=\S+ )?\[(sync|sema|chan|select)`)
	stacks := make([]byte, 1<<20)
	for seen, tries := 0, 0; seen < 3 && tries < 2000; tries++ {
		select {
		case <-c.done:
			return
		case <-time.After(time.Millisecond):
		}
		if state.Match(stacks[:runtime.Stack(stacks, true)]) {
			seen++
		} else {
			seen = 0
		}
	}
}
