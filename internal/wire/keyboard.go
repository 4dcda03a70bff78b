package wire

import (
	"errors"
	"io"
	"strings"
	"sync"
)

// A Keyboard is a client's input, an [io.Reader]. The test types and never
// waits for the client.
type Keyboard struct {
	t       *T
	mu      sync.Mutex
	changed sync.Cond
	text    []string // typed, not yet read
	ended   bool
	idle    int // calls of Read in a row that returned no byte, each at once
	counter *counter
}

var errInputEnded = errors.New("the input has ended")

// Keyboard returns a new keyboard.
func (t *T) Keyboard() *Keyboard {
	k := &Keyboard{t: t, counter: t.guard.counter()}
	k.changed.L = &k.mu
	t.keyboards = append(t.keyboards, k)
	return k
}

// Type types the texts. One Read returns one of them if its buffer is large
// enough. Type never waits: in the picture, all texts stand before what the
// client does with the first of them.
func (k *Keyboard) Type(texts ...string) { k.enter(texts, false) }

// TypeAndEnd is Type, then End, as if the input were a file.
func (k *Keyboard) TypeAndEnd(texts ...string) { k.enter(texts, true) }

// End ends the input, as Ctrl-D does in a terminal. Read returns io.EOF after
// everything that was typed.
func (k *Keyboard) End() { k.enter(nil, true) }

func (k *Keyboard) enter(texts []string, end bool) {
	for _, text := range texts {
		k.t.note("typed: " + Show(text))
	}
	if end {
		k.t.note("the input ends")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.text = append(k.text, texts...)
	k.ended = k.ended || end
	k.changed.Broadcast()
}

// Read reads what was typed, at most the text of one call of Type. It waits
// until there is something, or the input has ended.
func (k *Keyboard) Read(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.t.guard.enter(k.counter, true)
	waited := false
	for {
		switch {
		case len(p) == 0:
			k.t.guard.idle(&k.idle, false, "Read on the input", nil)
			return 0, nil
		case len(k.text) > 0:
			k.idle = 0
			n := copy(p, k.text[0])
			if k.text[0] = k.text[0][n:]; k.text[0] == "" {
				k.text = k.text[1:]
			}
			return n, nil
		case k.ended:
			k.t.guard.idle(&k.idle, waited, "Read on the input", errInputEnded)
			return 0, io.EOF
		}
		waited = true
		k.changed.Wait()
		k.t.guard.enter(k.counter, true)
	}
}

// A Screen is a client's output, an [io.Writer] that never fails.
type Screen struct {
	t    *T
	mu   sync.Mutex
	text strings.Builder
}

// Screen returns a new screen.
func (t *T) Screen() *Screen { return &Screen{t: t} }

// Write prints p.
func (s *Screen) Write(p []byte) (int, error) {
	s.t.guard.enter(nil, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p) > 0 {
		s.t.note("prints: " + Show(string(p)))
	}
	return s.text.Write(p)
}

// Text waits until the client is at rest, and returns all that it has printed
// so far.
func (s *Screen) Text() string {
	s.t.Helper()
	s.t.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Shows waits until the screen contains the text, for at most a second of the
// bubble's time, and reports whether it does.
func (s *Screen) Shows(text string) bool {
	s.t.Helper()
	return s.t.Until(func() bool { return strings.Contains(s.Text(), text) })
}

// note adds something that the client did to the picture of the newest
// connection, if there is one.
func (t *T) note(words string) {
	if len(t.conns) > 0 {
		t.conns[len(t.conns)-1].link.picture.Note(Client, words)
	}
}
