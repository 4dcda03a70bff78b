package main

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

// In a bubble, time passes only when all goroutines wait, so these tests take
// none, and come out the same each time.

func TestClient_BeatsWhileItHasNothingToSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := NewClient(client, time.Second)
		defer c.Close()

		begin := time.Now()
		in := frame.NewReader(server, limit)
		for n := range 5 {
			message, err := in.ReadFrame()
			if err != nil || len(message) > 0 {
				t.Fatalf("Heartbeat %d is %q, %v.", n+1, message, err)
			}
		}

		if d := time.Since(begin); d != 5*time.Second {
			t.Errorf("Five heartbeats took %v.", d)
		}
	})
}

func TestClient_Receive_SkipsHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := NewClient(client, time.Hour)
		defer c.Close()
		go func() {
			out := frame.NewWriter(server, limit)
			out.WriteFrame(nil)
			out.WriteFrame([]byte("hello"))
			out.Flush()
		}()

		message, err := c.Receive()

		if err != nil || string(message) != "hello" {
			t.Errorf("Receive returned %q, %v.", message, err)
		}
	})
}

func TestClient_Receive_NoticesThatTheServerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := net.Pipe() // which reads nothing and sends nothing
		c := NewClient(client, time.Second)
		defer c.Close()

		begin := time.Now()
		_, err := c.Receive()

		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Receive returned the error %v and must return os.ErrDeadlineExceeded.", err)
		}
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("It took %v and must take 3 s.", d)
		}
	})
}
