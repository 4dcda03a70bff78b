// Package own has a test that lets every second one of ten clients take
// nothing.
package own

import (
	"fmt"
	"time"

	"example.com/tcp-steps/internal/wire"
)

func Check(t *wire.T, ln *wire.Listener) string {
	var greedy, good []*wire.Peer
	for range 5 {
		greedy = append(greedy, ln.Dial())
		good = append(good, ln.Dial())
	}
	for i := range greedy {
		greedy[i].Hold(1)
		greedy[i].Send("for nobody")
	}
	time.Sleep(time.Minute)
	for i := range good {
		good[i].Send(fmt.Sprint("client ", i))
	}
	for i := range good {
		if answer := good[i].Receive(); answer != fmt.Sprint("client ", i) {
			return fmt.Sprintf("client %d of 5 got %q", i, answer)
		}
	}
	for i := range greedy {
		greedy[i].Hold(wire.NoLimit)
		if answer := greedy[i].Receive(); answer != "for nobody" {
			return fmt.Sprintf("a client that took its answer late got %q", answer)
		}
	}
	return ""
}
