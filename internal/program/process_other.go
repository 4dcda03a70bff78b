//go:build !linux

package program

import (
	"syscall"
	"time"
)

// memory returns how much memory a process has, in bytes. This system doesn't
// tell, so ok is false.
func memory(pid int) (bytes int64, ok bool) { return 0, false }

// dieWithUs asks for nothing on this system.
var dieWithUs *syscall.SysProcAttr

// look returns how much processor time a process has had, and what it's doing
// now. This system doesn't tell, so look returns 0 and waiting.
func look(pid int) (had time.Duration, now activity) { return 0, waiting }

// cpuDelay returns how long a process's threads have waited for a processor, in
// all. This system doesn't tell, so ok is false.
func cpuDelay(pid int) (delay time.Duration, ok bool) { return 0, false }
