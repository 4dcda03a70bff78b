package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

func TestDemo(t *testing.T) {
	var out strings.Builder
	if err := demo(&out); err != nil {
		t.Fatal(err)
	}

	want := "members: 3\nAnn and Bob have 100 messages. Members: 2\n"
	if out.String() != want {
		t.Errorf("It printed %q and must print %q.", out.String(), want)
	}
}

// Everyone gets all messages in the same order.
func TestRoom_KeepsOneOrder(t *testing.T) {
	const members, messages = 4, 3 // 12 in all, fewer than maxQueue
	var room Room
	people := make([]person, members)
	for i := range people {
		people[i] = join(&room)
		if err := say(people[i], "hello", people[:i+1]...); err != nil {
			t.Fatal(err)
		}
	}

	heard := make([][]string, members)
	var all sync.WaitGroup
	for i, p := range people {
		all.Go(func() {
			for n := range messages {
				p.out.WriteFrame(fmt.Appendf(nil, "%d from %d", n, i))
				p.out.Flush()
			}
		})
		all.Go(func() {
			for range members * messages {
				message, err := p.in.ReadFrame()
				if err != nil {
					t.Errorf("Member %d: %v", i, err)
					return
				}
				heard[i] = append(heard[i], string(message))
			}
		})
	}
	all.Wait()

	for i := range people {
		if fmt.Sprint(heard[i]) != fmt.Sprint(heard[0]) {
			t.Errorf("Member %d heard %q, member 0 %q.", i, heard[i], heard[0])
		}
	}
}

// A member that breaks the protocol leaves, and its goroutines end.
func TestRoom_DisconnectsAMemberThatBreaksTheProtocol(t *testing.T) {
	var room Room
	client, server := net.Pipe()
	served := make(chan struct{})
	go func() {
		room.Serve(server)
		close(served)
	}()

	io.WriteString(client, "GET / HTTP/1.1\r\n")
	<-served

	if _, err := frame.NewReader(client, maxMessage).ReadFrame(); err != io.EOF {
		t.Errorf("Its connection gave the error %v and must be closed.", err)
	}
	if room.Len() != 0 {
		t.Errorf("%d members are left.", room.Len())
	}
}
