package course

import (
	"os/exec"
	"syscall"
)

// peak returns the peak memory, in bytes, of the largest process of a command
// that has ended. The processes that it started count.
func peak(cmd *exec.Cmd) int64 {
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		return int64(usage.Maxrss) << 10
	}
	return 0
}
