package own

import (
	"net"
	"os"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/wire"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(lesson.Run(m)) }

func Test19_FindsTheBug(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#19-find-the-bug")
	for _, server := range []struct {
		words string
		serve func(ln net.Listener)
		right bool
	}{
		{"the server of wrong_test.go, which has a mistake", serve, false},
		{"a server that answers nobody", echo(func(net.Conn, []byte) {}), false},
		{"a right server", echo(func(conn net.Conn, message []byte) { conn.Write(message) }), true},
		{"a right server that takes its time, 200 ms for each answer", echo(func(conn net.Conn, message []byte) {
			time.Sleep(200 * time.Millisecond)
			conn.Write(message)
		}), true},
	} {
		wire.Test(e, func(t *wire.T) {
			ln := t.Listen()
			t.Go(func() { server.serve(ln) })

			found := Check(t, ln)

			if server.right {
				require.Emptyf(t, found, "Check was given %s, and said: %q. A test that blames the innocent is worse than none: soon nobody believes it", server.words, found)
			} else {
				require.NotEmptyf(t, found, "Check was given %s, and has found nothing. Which client, doing what, would notice? A test passes wrong work as long as it "+
					"does not bring about the situation in which the mistake shows. (Yours does, sometimes? Which of two messages the server reads first is chance, until t.Wait() "+
					"stands between them)", server.words)
			}
		})
	}
}

// echo returns a server that has a goroutine for each client, and answers as it is told.
func echo(answer func(conn net.Conn, message []byte)) func(net.Listener) {
	return func(ln net.Listener) {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for {
					buf := make([]byte, 128)
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					answer(conn, buf[:n])
				}
			}()
		}
	}
}
