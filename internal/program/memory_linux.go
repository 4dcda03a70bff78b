package program

import (
	"fmt"
	"os"
	"syscall"
)

// memory returns how much memory a process has, in bytes. ok is false if that
// isn't known.
func memory(pid int) (bytes int64, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, false
	}
	var size, resident int64
	_, err = fmt.Sscan(string(text), &size, &resident)
	return resident * int64(os.Getpagesize()), err == nil
}

// dieWithUs has the kernel kill the program when this process is gone.
var dieWithUs = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
