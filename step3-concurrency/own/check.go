// Package own is for a test of your own. The chapter to read beside it is docs/3-concurrency.md.
package own

import "example.com/tcp-steps/internal/wire"

// Check is a client, or several, of the server behind ln. It returns in a sentence what is wrong with that
// server, or "" if nothing is. What it can do is that of the tests of this step: ln.Dial, and a client's Send,
// Receive and Hold.
//
// TODO exercise 19: Find the bug
func Check(t *wire.T, ln *wire.Listener) string {
	return ""
}
