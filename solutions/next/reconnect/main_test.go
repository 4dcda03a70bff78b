package main

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

func TestDemo(t *testing.T) {
	var out strings.Builder
	if err := demo(&out); err != nil {
		t.Fatal(err)
	}

	got := regexp.MustCompile(`\d+ms`).ReplaceAllString(out.String(), "…")
	want := `answer: one
failure 1, next try in …
failure 2, next try in …
failure 3, next try in …
answer: two
failure 4, next try in …
failure 5, next try in …
failure 6, next try in …
gave up: context canceled
`
	if got != want {
		t.Errorf("It printed:\n%s\nand must print:\n%s", got, want)
	}
}

// A context ends even an Ask whose server is connected and silent.
func TestClient_Ask_EndsWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.Read(make([]byte, 1)) // now the client waits for its answer
		cancel()
		<-t.Context().Done()
	}()

	client := &Client{Addr: ln.Addr().String()}
	defer client.Close()
	_, err = client.Ask(ctx, []byte("hello"))

	if !errors.Is(err, context.Canceled) {
		t.Errorf("Ask returned the error %v and must return context.Canceled.", err)
	}
}

// Another connection doesn't make a message smaller.
func TestClient_Ask_GivesUpOnALargeMessage(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithCancel(context.Background())

	tryAgain := func(error, time.Duration) { cancel() }
	client := &Client{Addr: ln.Addr().String(), Failed: tryAgain}
	defer client.Close()
	_, err = client.Ask(ctx, make([]byte, limit+1))

	if !errors.Is(err, frame.ErrTooLarge) {
		t.Errorf("Ask returned the error %v and must return frame.ErrTooLarge.", err)
	}
}
