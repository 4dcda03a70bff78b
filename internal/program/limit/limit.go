// Package limit ends a learner's program that takes far too much memory. In
// steps 1 and 2, program.Main calls it. In steps 3 and 4, the build adds a file
// to package main that does.
package limit

import (
	"os"
	"runtime/metrics"
	"time"
)

const (
	// Memory is how much memory a program may have, in bytes. The exercises
	// need a twentieth of that.
	Memory = 256 << 20

	// ExitStatus is the exit status of a program that had more than that.
	ExitStatus = 97
)

// Start begins to watch how much memory this process has from the system. At
// more than [Memory], the process exits with [ExitStatus].
func Start() {
	memory := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"}, // a part of the total
	}
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			metrics.Read(memory)
			if memory[0].Value.Uint64()-memory[1].Value.Uint64() > Memory {
				os.Exit(ExitStatus)
			}
		}
	}()
}
