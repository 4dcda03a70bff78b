package wire

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	"example.com/tcp-steps/internal/lesson"
)

// A Task is a call of the code under test in a goroutine of its own.
type Task struct {
	t        *T
	err      error // what the call returned
	returned atomic.Bool
	ended    atomic.Bool // the call returned, panicked, or was stopped
}

// Go runs f, a call of the code under test, in a goroutine. If f panics, the
// exercise fails.
func (t *T) Go(f func()) *Task {
	task := &Task{t: t}
	t.tasks = append(t.tasks, task)
	go func() {
		defer task.ended.Store(true)
		defer func() {
			switch value := recover(); value {
			case nil:
			case lesson.OSExit:
				t.guard.report("The program called os.Exit" + where() + ".\n\n" +
					"os.Exit ends the whole program at once, and every connection with it.")
			default:
				t.guard.report(fmt.Sprintf("The program panicked%s: %v\n\n"+
					"A panic ends the whole program, and every connection with it.%s",
					where(), value, lesson.Advice(fmt.Sprint(value))))
			}
		}()
		f()
		task.returned.Store(true)
	}()
	return task
}

// Call is Go for a function that returns an error: see [Task.Err].
func (t *T) Call(f func() error) *Task {
	var task *Task
	started := make(chan struct{})
	task = t.Go(func() {
		<-started
		task.err = f()
	})
	close(started)
	return task
}

// Returned waits until the call has returned, for at most a second of the
// bubble's time, and reports whether it has.
func (k *Task) Returned() bool {
	k.t.Helper()
	return k.t.Until(k.returned.Load)
}

// Err returns the error that the call returned, or nil if it hasn't returned.
func (k *Task) Err() error {
	if !k.returned.Load() {
		return nil
	}
	return k.err
}

// String returns the call's state, for a failure that has named the call: "is
// still running", "returned nil" or "returned the error …".
func (k *Task) String() string {
	switch {
	case !k.returned.Load():
		return "is still running"
	case k.err == nil:
		return "returned nil"
	}
	return fmt.Sprintf("returned the error %q", k.err)
}

// idle reports whether all calls of the code under test have ended.
func (t *T) idle() bool {
	for _, task := range t.tasks {
		if !task.ended.Load() {
			return false
		}
	}
	return true
}

// where returns the line of the code under test at which the panic happened
// that the caller is recovering: " at main.go:23". It returns "" if there's
// none.
func where() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		host, _, _ := strings.Cut(frame.Function, "/")
		if strings.Contains(host, ".") && strings.Contains(frame.Function, "/") &&
			!strings.HasPrefix(frame.Function, "example.com/tcp-steps/internal/") {
			return fmt.Sprintf(" at %s:%d", filepath.Base(frame.File), frame.Line)
		}
		if !more {
			return ""
		}
	}
}
