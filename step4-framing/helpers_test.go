package echo_test

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program"
	"example.com/tcp-steps/internal/wire"
	"example.com/tcp-steps/step4-framing/frame"
)

func TestMain(m *testing.M) { program.Main(m, nil) }

const headerSize = 4

// errWaits stands for the result of a call that hasn't returned.
var errWaits = errors.New("it waits")

// send writes a frame for each payload, flushes once, and returns the first
// error.
func send(t *wire.T, w *frame.Writer, payloads ...string) error {
	t.Helper()
	var errs []error
	call := t.Go(func() {
		for _, payload := range payloads {
			errs = append(errs, w.WriteFrame([]byte(payload)))
		}
		errs = append(errs, w.Flush())
	})
	if !call.Returned() {
		return errWaits
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// writeFrame writes a frame without flushing it.
func writeFrame(t *wire.T, w *frame.Writer, payload string) (err error) {
	t.Helper()
	if !t.Go(func() { err = w.WriteFrame([]byte(payload)) }).Returned() {
		return errWaits
	}
	return err
}

// said completes the sentence "WriteFrame …".
func said(err error) string {
	switch err {
	case nil:
		return "returned no error"
	case errWaits:
		return "didn't return"
	}
	return fmt.Sprintf("returned the error %q", err)
}

// A result is what a call of ReadFrame returned.
type result struct {
	payload string
	err     error
}

// next calls ReadFrame. The payload is a copy.
func next(t *wire.T, r *frame.Reader) result {
	t.Helper()
	var got result
	call := t.Go(func() {
		payload, err := r.ReadFrame()
		got = result{string(payload), err}
	})
	if !call.Returned() {
		return result{err: errWaits}
	}
	return got
}

// String completes the sentence "ReadFrame …".
func (r result) String() string {
	switch {
	case r.err == errWaits:
		return "didn't return: it waited for more"
	case r.err != nil && r.payload != "":
		return fmt.Sprintf("returned %s and the error %q", wire.Show(r.payload), r.err)
	case r.err != nil:
		return fmt.Sprintf("returned the error %q", r.err)
	case r.payload == "":
		return "returned an empty payload and no error"
	}
	return "returned " + wire.Show(r.payload)
}

// numbers returns a text of the given size in which no two parts look alike:
// "0,1,2,3,…".
func numbers(size int) string {
	var text []byte
	for i := 0; len(text) < size; i++ {
		text = append(strconv.AppendInt(text, int64(i), 10), ',')
	}
	return string(text[:size])
}

// same returns how many bytes a and b have in common at their beginnings.
func same(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// sorted returns the bytes of text in their order.
func sorted(text string) string {
	bytes := []byte(text)
	slices.Sort(bytes)
	return string(bytes)
}

// entries returns a log's entries for a message, which keeps indented lines as
// they are.
func entries(log string) string {
	const width = 72
	var lines []string
	for entry := range strings.SplitSeq(strings.TrimSpace(log), "\n") {
		line := "   "
		for word := range strings.SplitSeq(entry, " ") {
			if utf8.RuneCountInString(line+" "+word) > width && strings.TrimSpace(line) != "" {
				lines, line = append(lines, line), "     "
			}
			line += " " + word
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// allocated returns how many MiB of memory f takes.
func allocated(f func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / (1 << 20)
}

// A readCall is a reader that remembers how large the slice of its first Read
// was.
type readCall struct {
	io.Reader
	size int // 0 before that Read
}

func (r *readCall) Read(p []byte) (int, error) {
	if r.size == 0 {
		r.size = len(p)
	}
	return r.Reader.Read(p)
}

// A readFunc is an io.Reader.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// A writeFunc is an io.Writer.
type writeFunc func(p []byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

// A writeCalls is a writer that remembers how many bytes each Write got.
type writeCalls struct {
	io.Writer
	sizes []int
}

func (w *writeCalls) Write(p []byte) (int, error) {
	w.sizes = append(w.sizes, len(p))
	return w.Writer.Write(p)
}

// last returns how many bytes the last Write got, or -1 without any.
func (w *writeCalls) last() int {
	if len(w.sizes) == 0 {
		return -1
	}
	return w.sizes[len(w.sizes)-1]
}

// An endless is a stream that repeats itself. It fails when a Reader reads on
// and on.
type endless struct {
	bytes string
	at    int
	taken int // since the test set it to 0
}

func (s *endless) Read(p []byte) (int, error) {
	n := copy(p, s.bytes[s.at:])
	s.at = (s.at + n) % len(s.bytes)
	if s.taken += n; s.taken > 64<<20 {
		return 0, errors.New("64 MiB were read without finding a frame")
	}
	return n, nil
}

// A slowConn is a connection whose first Write stops on its way. As on TCP,
// only one Write at a time sends bytes, and the others wait. A Write can also
// stop when all its bytes are sent but it hasn't returned, or when none are.
type slowConn struct {
	takes   func(size int) int // bytes that the first Write sends before it stops
	stopped chan struct{}      // closed when it has stopped
	goOn    chan struct{}      // closed when it may go on
	err     error              // what it returns then instead of sending the rest
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
	if c.err != nil {
		return n, c.err
	}
	c.wire = append(c.wire, p[n:]...)
	return len(p), nil
}

// holds waits until the call is in the first Write. On a busy machine two
// seconds may be too short for any call, so it looks many times.
func (c *slowConn) holds(first *call) {
	first.e.Helper()
	for range 200 {
		select {
		case <-c.stopped:
			return
		case <-first.done:
			first.wait()
			first.e.Fatalf("WriteFrame and Flush returned, but nothing was written.")
		case <-time.After(10 * time.Millisecond):
		}
	}
	first.wait()
}

// A call is code under test that runs in a goroutine outside a bubble: a
// goroutine that waits for a Mutex would stop the time in a bubble.
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
		named <- goroutineID()
		f()
	}()
	c.goroutine = <-named
	return c
}

// goroutineID returns the number of the calling goroutine.
func goroutineID() string {
	stack := make([]byte, 64)
	// "goroutine 7 [running]:"
	return strings.Fields(string(stack[:runtime.Stack(stack, false)]))[1]
}

// wait waits until the call has returned.
func (c *call) wait() {
	c.e.Helper()
	endInTime(c.done)
	if c.panicked != nil {
		c.e.Fatalf(`
			WriteFrame or Flush panicked while another goroutine used the same Writer: %v

			If two goroutines change a slice at the same time, it can have any length.`,
			c.panicked)
	}
}

// rest waits until the call has returned or can go no further: it waits for
// something that another goroutine must do. A call that waits in a busy loop
// looks like one that goes further, so rest gives up after a second. On a busy
// machine a second may be too short for any call, so it looks fifty times at
// least.
func (c *call) rest() {
	state := regexp.MustCompile(`(?m)^goroutine ` + c.goroutine +
		` (gp=\S+ )?(m=\S+ )?\[(sync|sema|chan|select)`)
	stacks := make([]byte, 1<<20)
	begin := time.Now()
	for seen, tries := 0, 0; seen < 3 && (tries < 50 || time.Since(begin) < time.Second); tries++ {
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

// endInTime waits until done is closed, when a call of the frame package has
// returned.
func endInTime(done <-chan struct{}) {
	lesson.MustEnd(done, func() string {
		return fmt.Sprintf(`
			A call of the frame package didn't return for over a second.

			Right now %s.`, lesson.ReasonToWait())
	})
}
