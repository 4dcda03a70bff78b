package program

import (
	"bytes"
	"sync"
)

// A recorder keeps the first MiB of what's written to it and drops the rest, so
// that a program never waits until its output is read.
type recorder struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
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

// wait returns a channel that is closed at the next Write.
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
