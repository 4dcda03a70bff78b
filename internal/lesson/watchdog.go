package lesson

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// What the tests may hold at any moment before the learner's code counts as
// taking without end. The largest exercise needs a tenth of that.
const (
	maxGoroutines = 20_000
	maxHeap       = 512 << 20 // bytes
)

// watch makes the process end, with a failure of the exercise that is running,
// when the learner's code takes goroutines or memory without end. It must run
// outside of bubbles.
var watch = sync.OnceFunc(func() {
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			if trouble := overdrawn(); trouble != "" {
				current.abort(trouble, "")
			}
		}
	}()
})

func overdrawn() string {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	if n := runtime.NumGoroutine(); n > maxGoroutines {
		return fmt.Sprintf(`
			The program had started %d goroutines that were still running.

			Code starts goroutines in a loop that never waits. Something in the loop must
			wait: for Read, for Accept, or for the goroutine itself.`, n)
	}
	if held := heap[0].Value.Uint64(); held > maxHeap {
		return fmt.Sprintf(`
			The program held %d MiB of memory, far more than the exercise needs.

			Either a buffer is made as large as a client says, or something grows in a loop
			without end.`, held>>20)
	}
	return ""
}
