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
	p       *Program
	ticks   int   // at the beginning
	left    int   // now
	first   usage // after the first tick: many waits are over by then
	before  usage // the same, since the countdown last began
	renewed int
}

func (p *Program) countdown(ticks int) *countdown {
	return &countdown{p: p, ticks: ticks, left: ticks}
}

// more reports whether to wait for one more tick. At the end it makes sure that
// the program is late, not the machine. On a busy machine, the countdown starts
// again.
func (w *countdown) more() bool {
	switch {
	case w.left == w.ticks-1:
		w.before, _ = look(w.p.cmd.Process.Pid)
		if w.renewed == 0 {
			w.first = w.before
		}
	case w.left == 0 && w.machineIsLate():
		w.renewed++
		w.ticks, w.left = patience, patience
	}
	w.left--
	return w.left >= 0
}

// machineIsLate reports whether the program could have run in the countdown's
// time, but got no processor: it has run for less than a tenth of the time, and
// either its threads waited for a processor for a quarter of it, or it isn't
// idle now. A busy loop runs for longer, and on a very busy machine it has had
// its fifth of a second after some countdowns. Once this process has seen the
// program's end, nothing is late. On a system that doesn't tell, machineIsLate
// asks IsMachineBusy.
func (w *countdown) machineIsLate() bool {
	if w.p.hasEnded() {
		return false
	}
	now, activity := look(w.p.cmd.Process.Pid)
	if activity == unknown {
		return w.renewed < 3 && IsMachineBusy()
	}
	for looks := 1; looks < 4 && activity != waiting; looks++ { // a timer may just have run
		time.Sleep(time.Millisecond)
		now, activity = look(w.p.cmd.Process.Pid)
	}
	waited := time.Duration(w.ticks) * tick
	return w.renewed < 20 && now.ran-w.first.ran < patience*tick/5 &&
		now.ran-w.before.ran < waited/10 &&
		(now.delayed-w.before.delayed > waited/4 || activity != waiting)
}

// IsMachineBusy reports whether a program that does nothing takes long now.
func IsMachineBusy() bool {
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
