package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"example.com/tcp-steps/internal/wire"
)

// A Tap passes on what clients and a server send to each other, and draws it.
// Don't change its fields after a call of Serve. With zero values in the second
// group, it passes on everything as it comes.
type Tap struct {
	Dial func(ctx context.Context) (net.Conn, error) // connects to the server
	Out  io.Writer                                   // gets the picture

	Cut        int           // the most bytes in one Write; 0 means no limit
	Glue       time.Duration // join what arrives within this time
	Delay      time.Duration // pass on everything this much later
	ResetAfter int64         // bytes in both directions before a reset; 0 means never

	screen screen
}

const (
	// cutPause stands between the pieces of Cut. Without it, one Read of the
	// other program could get several of them.
	cutPause = 5 * time.Millisecond

	// quiet is how long a row of pieces mustn't grow before it's drawn.
	quiet = 200 * time.Millisecond

	// maxQueue is how many pieces in one direction may wait for their delay.
	// Then the tap stops reading.
	maxQueue = 1024
)

// Serve accepts clients on ln, connects each of them to the server, and passes
// on what they send. When ctx is done, it closes ln and all connections and
// returns nil. Otherwise it returns the error of Accept.
func (t *Tap) Serve(ctx context.Context, ln net.Listener) error {
	t.screen.out = t.Out
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	for n := 1; ; n++ {
		client, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		p := t.newPair(ctx, strconv.Itoa(n), client)
		conns.Go(p.serve)
	}
}

// A pair is one client and its connection to the server.
type pair struct {
	tap     *Tap
	ctx     context.Context // done when both connections are over
	cancel  context.CancelFunc
	conns   [2]net.Conn // by side
	picture wire.Picture
	timer   *time.Timer // draws the last row of pieces

	mu    sync.Mutex
	left  int64 // bytes until the reset, if ResetAfter is set
	ended int   // directions that have ended
	reset bool
}

// newPair returns a pair without a connection to the server. The client's name
// is for the picture.
func (t *Tap) newPair(ctx context.Context, name string, client net.Conn) *pair {
	p := &pair{tap: t, left: t.ResetAfter}
	p.ctx, p.cancel = context.WithCancel(ctx)
	p.conns[wire.Client] = client
	p.picture.Name = name
	p.picture.Clock = time.Now
	p.timer = time.AfterFunc(quiet, func() { t.screen.show(&p.picture, true) })
	return p
}

// serve connects to the server and passes on both directions to their ends. It
// closes both connections.
func (p *pair) serve() {
	defer p.tap.screen.show(&p.picture, true)
	defer p.timer.Stop()
	defer p.cancel()
	server, err := p.tap.Dial(p.ctx)
	if err != nil {
		if p.ctx.Err() == nil {
			p.draw(func() { p.picture.Note(wire.Server, "no connection") })
			p.tap.screen.print("      " + err.Error() + "\n")
		}
		abort(p.conns[wire.Client])
		return
	}
	p.conns[wire.Server] = server
	closed := make(chan struct{})
	context.AfterFunc(p.ctx, func() {
		defer close(closed)
		p.conns[wire.Client].Close()
		p.conns[wire.Server].Close()
	})
	var directions sync.WaitGroup
	directions.Go(func() { p.pass(wire.Client) })
	directions.Go(func() { p.pass(wire.Server) })
	directions.Wait()
	p.cancel()
	<-closed
}

// A piece is what a Read returned, and when.
type piece struct {
	bytes []byte
	err   error
	at    time.Time
}

// pass passes on what the given side sends, until that side ends or ctx is
// done.
func (p *pair) pass(from wire.Side) {
	pieces := make(chan piece, maxQueue)
	go p.read(from, pieces)
	for {
		next, ok := p.next(pieces)
		if !ok || !p.send(from, next.bytes) {
			return
		}
		if next.err != nil {
			p.end(from, next.err)
			return
		}
	}
}

// read reads what the given side sends, to its end. It draws a piece that Cut
// or Glue may change.
func (p *pair) read(from wire.Side, pieces chan<- piece) {
	for {
		buf := make([]byte, 32<<10)
		n, err := p.conns[from].Read(buf)
		if n > 0 && (p.tap.Glue > 0 || p.tap.Cut > 0 && n > p.tap.Cut) {
			p.draw(func() { p.picture.Note(from, "sends "+wire.Show(string(buf[:n]))) })
		}
		select {
		case pieces <- piece{buf[:n], err, time.Now()}:
		case <-p.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// next waits until it's time and returns what to pass on next. It returns false
// if ctx is done before that.
func (p *pair) next(pieces <-chan piece) (piece, bool) {
	var next piece
	select {
	case next = <-pieces:
	case <-p.ctx.Done():
		return piece{}, false
	}
	if p.tap.Glue > 0 {
		timeout := time.NewTimer(p.tap.Glue)
		defer timeout.Stop()
		for more := true; more && next.err == nil; {
			select {
			case other := <-pieces:
				next.bytes = append(next.bytes, other.bytes...)
				next.err = other.err
			case <-timeout.C:
				more = false
			case <-p.ctx.Done():
				return piece{}, false
			}
		}
	}
	return next, p.sleep(time.Until(next.at.Add(p.tap.Delay)))
}

// sleep waits for d. It returns false at once if ctx is done.
func (p *pair) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// send sends bytes to the other side, in pieces of at most Cut bytes. It
// returns false if the connections have ended.
func (p *pair) send(from wire.Side, bytes []byte) bool {
	to := from.Other()
	for len(bytes) > 0 {
		n := len(bytes)
		if p.tap.Cut > 0 {
			n = min(n, p.tap.Cut)
		}
		n, last := p.take(n)
		if n > 0 {
			p.draw(func() { p.picture.Sent(from, bytes[:n]) })
			if _, err := p.conns[to].Write(bytes[:n]); err != nil {
				p.failed(to, err)
				return false
			}
		}
		if last {
			p.resetBoth("the tap resets", wire.Client, wire.Server)
			return false
		}
		bytes = bytes[n:]
		if len(bytes) > 0 && !p.sleep(cutPause) {
			return false
		}
	}
	return true
}

// take returns how many of n bytes may pass, and whether they're the last bytes
// before the reset.
func (p *pair) take(n int) (may int, last bool) {
	if p.tap.ResetAfter == 0 {
		return n, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n = int(min(int64(n), p.left))
	p.left -= int64(n)
	return n, p.left == 0
}

// end passes on why Read failed: io.EOF as a half-close, a reset as a reset.
func (p *pair) end(from wire.Side, err error) {
	if err != io.EOF {
		p.failed(from, err)
		return
	}
	// That side may have closed. Only its answer to more bytes would tell.
	words := "writes no more"
	p.mu.Lock()
	if p.ended++; p.ended == 2 {
		words = "closes"
	}
	p.mu.Unlock()
	p.draw(func() { p.picture.Closed(from, words) })
	if half, ok := p.conns[from.Other()].(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

// failed passes on that the given side broke its connection. It does nothing if
// the tap itself closed it.
func (p *pair) failed(side wire.Side, err error) {
	if !errors.Is(err, net.ErrClosed) {
		p.resetBoth("resets", side)
	}
}

// resetBoth resets both connections. It draws the words as signals from the
// given sides. A second call does nothing.
func (p *pair) resetBoth(words string, sides ...wire.Side) {
	p.mu.Lock()
	first := !p.reset
	p.reset = true
	p.mu.Unlock()
	if !first {
		return
	}
	for _, side := range sides {
		p.draw(func() { p.picture.Closed(side, words) })
	}
	abort(p.conns[wire.Client])
	abort(p.conns[wire.Server])
	p.cancel()
}

// abort closes conn, with a reset if it's a TCP connection.
func abort(conn net.Conn) {
	if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// draw adds to the picture and shows it.
func (p *pair) draw(add func()) {
	add()
	p.timer.Reset(quiet)
	p.tap.screen.show(&p.picture, false)
}

// A screen shows the pictures of all clients, one line after the other.
type screen struct {
	mu   sync.Mutex
	out  io.Writer
	last *wire.Picture
}

// show prints the picture's new lines, below its title if another picture had
// the line before. It passes all to [wire.Picture.Next].
func (s *screen) show(p *wire.Picture, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := p.Next(all)
	if lines == "" {
		return
	}
	if s.last != p {
		lines = p.Title() + lines
		s.last = p
	}
	io.WriteString(s.out, lines)
}

// print prints the text between the lines of the pictures.
func (s *screen) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	io.WriteString(s.out, text)
}
