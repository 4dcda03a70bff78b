package program

import (
	"os"
	"os/exec"
	"time"
)

// A test waits for a program for at most patience ticks, which is a second.
const (
	patience = 100
	tick     = 10 * time.Millisecond
)

// A countdown counts the ticks for which a test still waits for a program.
type countdown struct {
	left    int
	renewed int
}

// more reports whether to wait for one more tick. At the end it makes sure that
// the program is late, not the machine. On a busy machine, the countdown starts
// again.
func (w *countdown) more() bool {
	if w.left == 0 && w.renewed < 5 && machineIsBusy() {
		w.renewed++
		w.left = patience
	}
	w.left--
	return w.left >= 0
}

// machineIsBusy reports whether a program that does nothing takes long here.
func machineIsBusy() bool {
	file, err := os.Executable()
	if err != nil {
		return false
	}
	cmd := exec.Command(file)
	cmd.Env = append(os.Environ(), asProgram+"=nothing")
	begin := time.Now()
	cmd.Run()
	return time.Since(begin) > 50*time.Millisecond
}
