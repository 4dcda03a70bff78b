package lesson

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// The most goroutines and memory that the tests may hold at any moment. The
// largest exercise needs a tenth of that.
const (
	maxGoroutines = 20_000
	maxHeap       = 512 << 20 // bytes
)

// watch starts to watch how many goroutines and how much memory the process
// has. At more than the most, it aborts the exercise that's running. The caller
// must not be in a synctest bubble.
var watch = sync.OnceFunc(func() {
	// The first look allocates for all others, and an exercise may be counting
	// allocations when the goroutine gets to it.
	overdrawn()
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			if trouble := overdrawn(); trouble != "" {
				current.abort(trouble, "")
			}
		}
	}()
})

// overdrawn returns the message of a failure if the process holds too much now.
func overdrawn() string {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	if n := runtime.NumGoroutine(); n > maxGoroutines {
		return fmt.Sprintf(`
			The program started %d goroutines that were still running.

			A loop starts goroutines and never waits. Something in that loop must wait: for
			Read, for Accept, or for the goroutines themselves.`, n)
	}
	if held := heap[0].Value.Uint64(); held > maxHeap {
		return fmt.Sprintf(`
			The program held %d MiB of memory, far more than the exercise needs.

			Either the program makes a buffer as large as a client announces or a limit
			allows, or something grows in a loop without end.`, held>>20)
	}
	return ""
}
