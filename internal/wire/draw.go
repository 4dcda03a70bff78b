package wire

import (
	"fmt"
	"strings"
)

// draw returns the pictures of at most two connections. If there are more, it
// draws the first one, and the one that the test used last.
func (t *T) draw() string {
	var pictures []string
	for i, c := range t.conns {
		if len(t.conns) > 2 && c != t.used && i > 0 {
			continue
		}
		if len(t.conns) > 1 {
			c.link.picture.Name = fmt.Sprint(i + 1)
		}
		var states [2][]string
		states[c.side] = t.states(c)
		pictures = append(pictures, c.link.picture.Draw(states[Client], states[Server]))
	}
	if more := len(t.conns) - len(pictures); more > 0 {
		pictures = append(pictures, strings.Repeat(" ", margin-2)+
			fmt.Sprintf("(and %s not drawn)\n", count(more, "connection")))
	}
	return strings.Join(pictures, "\n")
}

// states returns what the code under test is doing at c, its end of a
// connection.
func (t *T) states(c *Conn) []string {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return nil
	}
	var states []string
	lent := t.isLent(c)
	switch {
	case t.guard.first() != "":
	case t.idle() && len(t.tasks) > 0 && !lent:
		states = append(states, "returned")
	case c.writing > 0:
		states = append(states, "waits in Write")
	case c.reading > 0:
		states = append(states, "waits for more")
	}
	if c.in.size > 0 {
		states = append(states, count(c.in.size, "byte")+" unread")
	}
	if (c.in.ended || t.idle()) && !lent {
		states = append(states, "hasn't closed")
	}
	return states
}
