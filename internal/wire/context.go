package wire

import (
	"context"
	"runtime"
	"sync/atomic"
)

// A Context is a context that's never done and knows whether Done was called.
// Shutdown calls Done when it has stopped the server and begins to wait.
type Context struct {
	context.Context
	watched atomic.Bool
}

// NewContext returns a new Context.
func NewContext() *Context { return &Context{Context: context.Background()} }

// Done notes the call and returns nil, as [context.Background] does: a channel
// that's never ready.
func (c *Context) Done() <-chan struct{} {
	c.watched.Store(true)
	return c.Context.Done()
}

// WaitUntilWatched yields to other goroutines until Done was called, and a
// while longer. It gives up after many yields, because the caller may hold a
// lock that the other side waits for.
func (c *Context) WaitUntilWatched() {
	for tries, more := 0, 1000; tries < manyYields && more > 0; tries++ {
		runtime.Gosched()
		if c.watched.Load() {
			more--
		}
	}
}

const manyYields = 100_000

// Yield yields to other goroutines many times. Call it where a lock may be held
// that they wait for, so that they needn't come to rest.
func Yield() {
	for range manyYields {
		runtime.Gosched()
	}
}
