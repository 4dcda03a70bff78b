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

// look returns how much processor time a process has had, and what it does now;
// 0 and waiting where that isn't known, as on this system.
func look(pid int) (had time.Duration, now activity) { return 0, waiting }
