package program

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// dieWithUs has the kernel kill the program when this process is gone.
var dieWithUs = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}

// look returns how much processor time a process's threads have used, and what
// the process is doing now.
func look(pid int) (used usage, now activity) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	now = gone
	for _, thread := range threads {
		stat, err := os.ReadFile(thread + "/stat")
		if err != nil {
			continue // the thread has ended
		}
		// The name, in parentheses, may have any characters. The state follows.
		switch state := stat[bytes.LastIndexByte(stat, ')')+1:]; {
		case bytes.HasPrefix(state, []byte(" Z")), bytes.HasPrefix(state, []byte(" X")):
		case bytes.HasPrefix(state, []byte(" S")):
			now = max(now, waiting)
		default:
			now = running
		}
		var ran, delayed time.Duration
		times, _ := os.ReadFile(thread + "/schedstat")
		fmt.Sscan(string(times), &ran, &delayed)
		used.ran += ran
		used.delayed += delayed
	}
	return used, now
}
