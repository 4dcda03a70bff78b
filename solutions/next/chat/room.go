package main

import (
	"bytes"
	"net"
	"sync"
	"time"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

const (
	maxMessage   = 64 << 10         // bytes
	maxQueue     = 16               // messages that wait for one member
	writeTimeout = 10 * time.Second // for a member's messages so far
)

// A Room sends each message of each member to all of them. It never waits for a
// member: it disconnects those that fall more than maxQueue messages behind.
// The zero Room is empty and ready to use.
type Room struct {
	mu      sync.Mutex // never held during I/O
	members map[*member]struct{}
}

type member struct {
	conn  net.Conn
	queue chan []byte // closed when the member leaves
}

// Serve makes conn a member until it leaves, then closes conn.
func (r *Room) Serve(conn net.Conn) {
	m := &member{conn, make(chan []byte, maxQueue)}
	r.join(m)
	defer r.leave(m)
	go m.send()

	in := frame.NewReader(conn, maxMessage)
	for {
		message, err := in.ReadFrame()
		if err != nil {
			return
		}
		r.Broadcast(bytes.Clone(message)) // the Reader will use its bytes again
	}
}

// Broadcast hands message to all members, without waiting for any. All of them
// get all messages in the same order. The message must not change afterwards.
func (r *Room) Broadcast(message []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for m := range r.members {
		select {
		case m.queue <- message:
		default: // full
			r.remove(m)
		}
	}
}

// Len returns the number of members.
func (r *Room) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.members)
}

func (r *Room) join(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members == nil {
		r.members = make(map[*member]struct{})
	}
	r.members[m] = struct{}{}
}

func (r *Room) leave(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(m)
}

// remove needs r.mu. That is why nothing is ever sent to a closed queue.
func (r *Room) remove(m *member) {
	if _, ok := r.members[m]; ok {
		delete(r.members, m)
		close(m.queue)
		m.conn.Close() // ends ReadFrame, and a Write that waits
	}
}

// send sends what is in the queue, until the member leaves.
func (m *member) send() {
	defer m.conn.Close() // ends ReadFrame, and so Serve
	out := frame.NewWriter(m.conn, maxMessage)
	for message := range m.queue {
		m.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if out.WriteFrame(message) != nil {
			return
		}
		if len(m.queue) == 0 && out.Flush() != nil {
			return
		}
	}
}
