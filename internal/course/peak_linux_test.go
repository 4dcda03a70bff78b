package course

import (
	"os/exec"
	"syscall"
)

// peak returns how many bytes of memory the largest process of a command that
// has ended had, or one that it started.
func peak(cmd *exec.Cmd) int64 {
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		return usage.Maxrss << 10
	}
	return 0
}
