package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	echo "example.com/tcp-steps/solutions/step4-framing"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(strings.NewReader("hello\nworld\n"), &out); err != nil {
		t.Fatal(err)
	}

	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], "certificate") || !strings.Contains(lines[0], "tls: ") {
		t.Errorf("The client that doesn't trust the server said %q.", lines[0])
	}
	if want := "with it: TLS 1.3\nhello\nworld\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("The other client printed %q and must end with %q.", out.String(), want)
	}
}

// The handshake may take as long as IdleTimeout. Package tls doesn't go on with
// a handshake after a timeout, so the server's first Read may have no earlier
// deadline.
func TestServer_WaitsForALateHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cert, trusted, err := selfSigned("localhost")
		if err != nil {
			t.Fatal(err)
		}
		client, conn := net.Pipe()
		// On a pipe, which has no buffer, a ticket would wait for the client's
		// Read while the client waits in Write.
		config := &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true}
		server := &echo.Server{IdleTimeout: time.Minute, Log: slog.New(slog.DiscardHandler)}
		go server.Serve(&listener{conn: tls.Server(conn, config), closed: make(chan struct{})})
		defer server.Shutdown(context.Background())

		time.Sleep(50 * time.Second)
		var out strings.Builder
		late := tls.Client(client, &tls.Config{ServerName: "localhost", RootCAs: trusted})
		err = echo.Run(late, strings.NewReader("hello\n"), &out)

		if err != nil || out.String() != "hello\n" {
			t.Errorf("The client printed %q and got the error %v.", out.String(), err)
		}
	})
}

// A listener accepts one connection, then waits until it's closed.
type listener struct {
	conn   net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return nil }
