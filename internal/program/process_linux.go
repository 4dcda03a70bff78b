package program

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
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

// usage returns how much processor time a process has had, and whether a thread
// of it runs or wants to. It returns 0 and false if that isn't known.
func usage(pid int) (had time.Duration, isRunning bool) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, thread := range threads {
		stat, _ := os.ReadFile(thread + "/stat")
		// The name, in parentheses, may have any characters. The state follows,
		// which is S for a thread that waits.
		state := stat[bytes.LastIndexByte(stat, ')')+1:]
		if len(state) > 0 && !bytes.HasPrefix(state, []byte(" S")) {
			isRunning = true
		}
		var ran time.Duration
		times, _ := os.ReadFile(thread + "/schedstat")
		fmt.Sscan(string(times), &ran)
		had += ran
	}
	return had, isRunning
}
