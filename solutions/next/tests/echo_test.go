package tests

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	echo "example.com/tcp-steps/solutions/step4-framing"
	"example.com/tcp-steps/solutions/step4-framing/frame"
)

// Port 0 means any free port. Tests that all listen on port 0 can run at the
// same time, beside a server of yours.
func TestServer_OnPort0(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &echo.Server{}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()

	// Dial needs no pause before it: from Listen on, the kernel lets clients
	// in.
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := echo.Run(conn, strings.NewReader("hello\n"), &out); err != nil {
		t.Fatal(err)
	}

	if out.String() != "hello\n" {
		t.Errorf("The client printed %q.", out.String())
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown returned the error %v.", err)
	}
	if err := <-served; err != echo.ErrServerClosed {
		t.Errorf("Serve returned the error %v.", err)
	}
}

// With net.Pipe the test is the other side, and decides what arrives when. Each
// Write waits until it's read, so both ends need a goroutine.
func TestReader_OverAPipe(t *testing.T) {
	client, server := net.Pipe()
	go func() {
		io.WriteString(client, "\x00\x00")
		io.WriteString(client, "\x00\x05hel")
		io.WriteString(client, "lo")
		client.Close()
	}()

	in := frame.NewReader(server, 100)

	if message, err := in.ReadFrame(); err != nil || string(message) != "hello" {
		t.Errorf("The first frame is %q, %v.", message, err)
	}
	if _, err := in.ReadFrame(); err != io.EOF {
		t.Errorf("At the end ReadFrame returned the error %v.", err)
	}
}

// In a bubble, pipes and deadlines share a clock that moves on when all
// goroutines wait. So a minute takes no time.
func TestServer_DisconnectsSilentClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn := net.Pipe()
		server := &echo.Server{IdleTimeout: time.Minute}
		go server.Serve(&listener{conns: []net.Conn{conn}, closed: make(chan struct{})})
		defer server.Shutdown(context.Background())

		begin := time.Now()
		_, err := client.Read(make([]byte, 1))

		if err != io.EOF || time.Since(begin) != time.Minute {
			t.Errorf("After %v: %v", time.Since(begin), err)
		}
	})
}

// A listener accepts the given connections, and then waits until it's closed.
type listener struct {
	conns  []net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	if len(l.conns) == 0 {
		<-l.closed
		return nil, net.ErrClosed
	}
	conn := l.conns[0]
	l.conns = l.conns[1:]
	return conn, nil
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return nil }
