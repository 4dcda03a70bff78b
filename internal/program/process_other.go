//go:build !linux

package program

import (
	"syscall"
	"time"
)

// memory returns how much memory a process has, in bytes. ok is false if that
// isn't known, as on this system.
func memory(pid int) (bytes int64, ok bool) { return 0, false }

// dieWithUs has nothing to ask for on this system.
var dieWithUs *syscall.SysProcAttr

// usage returns how much processor time a process has had, and whether a thread
// of it runs or wants to. It returns 0 and false if that isn't known, as on this
// system.
func usage(pid int) (had time.Duration, isRunning bool) { return 0, false }
