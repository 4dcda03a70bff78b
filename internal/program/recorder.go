package program

import (
	"bytes"
	"sync"
)

// A recorder keeps the first MiB that's written to it and drops the rest, so a
// program never waits in a write of its output. Several goroutines may use it
// at once.
type recorder struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed at the next Write; nil if no goroutine waits
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.Write(p[:min(len(p), 1<<20-r.text.Len())])
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
	return len(p), nil
}

// wait returns a channel that the next Write closes.
func (r *recorder) wait() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
