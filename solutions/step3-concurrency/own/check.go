// Package own is for a test of your own.
package own

import "example.com/tcp-steps/internal/wire"

// Check finds out whether the server behind ln still answers a client while
// another client takes nothing. It returns a sentence that says what's wrong,
// or "" if nothing is.
func Check(t *wire.T, ln *wire.Listener) string {
	greedy := ln.Dial()
	greedy.Hold(0)
	greedy.Send("I take nothing")
	t.Wait() // the server has read it and waits in Write

	other := ln.Dial()
	other.Send("and me?")
	if answer := other.Receive(); answer != "and me?" {
		return "one client takes nothing, and another one got " + wire.Show(answer)
	}
	return ""
}
