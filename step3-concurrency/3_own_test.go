package echo_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/wire"
	"example.com/tcp-steps/step3-concurrency/own"
	"github.com/stretchr/testify/require"
)

func Test19_FindsTheBug(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#19-find-the-bug", "own/check.go")
	wire.Test(e, "the server of wrong_test.go", func(t *wire.T) {
		require.NotEmpty(t, check(t, serveWrongly), `
			This server has a bug, and Check found nothing.

			A test finds a bug only if it makes the situation in which the bug shows. Which
			client, doing what, would notice? If Check finds it only sometimes: t.Wait() makes
			sure that the server has read one message before you send the next.`)
	})
	wire.Test(e, "a server that answers no client", func(t *wire.T) {
		require.NotEmpty(t, check(t, echoServer(answerNothing)), `
			This server never answers, and Check found nothing.

			A client that can connect and send proves little: the kernel does both.`)
	})
	wire.Test(e, "a server that answers with another client's message", func(t *wire.T) {
		require.NotEmpty(t, check(t, echoServer(answerWithTheMessageBefore())), `
			This server answers each message with the message before it, whichever client sent
			that. Check found nothing.

			Compare what each client receives with what it sent, and let each send something
			else.`)
	})
	wire.Test(e, "a server that's right", func(t *wire.T) {
		found := check(t, echoServer(answerAtOnce))
		require.Emptyf(t, found, `
			This server has no bug, and Check said %q.

			A test that fails for right work is worse than none: soon people ignore it.`, found)
	})
	wire.Test(e, "a server that's right and takes 200 ms for an answer", func(t *wire.T) {
		found := check(t, echoServer(answerLate))
		require.Emptyf(t, found, `
			This server has no bug, and Check said %q.

			A right answer may take a while. Receive waits for it; Arrived doesn't.`, found)
	})
}

// check calls Check for a server that's being served.
func check(t *wire.T, serve func(net.Listener)) string {
	ln := t.Listen()
	t.Go(func() { serve(ln) })
	return own.Check(t, ln)
}

func answerNothing(net.Conn, []byte) {}

func answerAtOnce(conn net.Conn, message []byte) { conn.Write(message) }

func answerLate(conn net.Conn, message []byte) {
	time.Sleep(200 * time.Millisecond)
	conn.Write(message)
}

// answerWithTheMessageBefore answers the first message with itself.
func answerWithTheMessageBefore() func(net.Conn, []byte) {
	var mu sync.Mutex
	var before []byte
	return func(conn net.Conn, message []byte) {
		mu.Lock()
		answer := before
		before = message
		mu.Unlock()
		if answer == nil {
			answer = message
		}
		conn.Write(answer)
	}
}

// echoServer returns a server that has a goroutine for each client and calls
// answer for each message.
func echoServer(answer func(conn net.Conn, message []byte)) func(net.Listener) {
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
