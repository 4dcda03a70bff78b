package lesson

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Abort fails the exercise that's running with a message, prints more below it,
// and exits the process. It's for code that nothing else can stop, which may
// take memory or a whole CPU. Under [Run], the exercises that follow run in
// another process. Abort does nothing between exercises.
func Abort(message, more string) { current.abort(message, more) }

// realStdout is os.Stdout before any [Output] takes its place.
var realStdout = os.Stdout

// testLine returns the test's line that the calling goroutine is at:
// "1_server_test.go:31", or "test" if no test called.
func testLine() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.File, "_test.go") {
			return fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)
		}
		if !more {
			return "test"
		}
	}
}
