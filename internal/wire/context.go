package wire

import (
	"context"
	"runtime"
	"sync/atomic"
)

// A Context is a context that never ends and knows when its Done was called.
// Shutdown calls it when it has stopped the server and begins to wait.
type Context struct {
	context.Context
	watched atomic.Bool
}

// NewContext returns a new Context.
func NewContext() *Context { return &Context{Context: context.Background()} }

// Done returns a channel that's never closed.
func (c *Context) Done() <-chan struct{} {
	c.watched.Store(true)
	return c.Context.Done()
}

// WaitUntilWatched gives way to other goroutines until Done has been called,
// and a while longer. The caller may hold a lock that the other side waits for,
// so it doesn't wait forever.
func (c *Context) WaitUntilWatched() {
	for tries, more := 0, 1000; tries < 100_000 && more > 0; tries++ {
		runtime.Gosched()
		if c.watched.Load() {
			more--
		}
	}
}
