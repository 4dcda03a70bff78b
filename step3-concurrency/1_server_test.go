package echo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program"
	"example.com/tcp-steps/internal/wire"
	echo "example.com/tcp-steps/step3-concurrency"
	"github.com/stretchr/testify/require"
)

func Test01_ServesAnyListener(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#1-serve-any-listener", "server.go")
	wire.Test(e, "two clients that stay", twoClientsThatStay)
	wire.Test(e, "messages of every kind", messagesOfEveryKind)
	wire.Test(e, "a server with a Log", messagesInTheLog)
	wire.Test(e, "a server whose Log is nil", messagesInTheDefaultLog)
	wire.Test(e, "a server with a Log, and a client that doesn't read", messageInTheLogBeforeWrite)
}

func twoClientsThatStay(t *wire.T) {
	ln, serving := t.Serve(&echo.Server{})

	for _, message := range []string{"I am one", "I am two"} {
		client := ln.Dial()
		client.Send(message)
		answer := client.Receive()

		why := "Serve accepts clients one by one and serves each in its own goroutine."
		if !serving.Returned() {
			why += " A MaxClients of 0 means no limit."
		}
		require.Zerof(t, ln.Waiting(), `
			A client connected to Serve's listener, but the server didn't accept it. Serve %s.

			%s`, serving, why)
		require.NotEmptyf(t, answer, `
			A client sent %q and got no answer. Serve %s.

			Read returns what has arrived: answer that, and don't wait for more. A timeout of 0
			means no timeout, so set no deadline then.`, message, serving)
		require.Equalf(t, message, answer, `
			A client sent %q and got %s.

			An echo is the same bytes.`, message, wire.Show(answer))
		require.Falsef(t, serving.Returned(), `
			Serve %s while a client was connected.

			Its caller takes that for the end of the server. Serve goes on until Shutdown is
			called.`, serving)
	}
}

func messagesOfEveryKind(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{})
	client := ln.Dial()

	for _, message := range []string{
		"  two  words  ", "\r", "\n\n", "100%", "%s and %d", "zero \x00 zero", "half a \xe4\xb8",
		strings.Repeat("x", 127), strings.Repeat("y", 128), "zeros \x00\x00",
	} {
		client.Send(message)
		answer := client.Receive()

		require.Equalf(t, message, answer, `
			A client sent %s and got %s.

			An echo is the same bytes, whatever they mean: spaces, percent signs, zeros, half a
			character, and as many as the buffer holds.`, wire.Show(message), wire.Show(answer))
	}
}

func messagesInTheLog(t *wire.T) {
	log := t.Log(slog.LevelDebug)
	ln, _ := t.Serve(&echo.Server{Log: log.Logger})
	client := ln.Dial()

	for _, message := range []string{
		"I am here", "  two  words  ", "100% of %s", strings.Repeat("long ", 24) + "message!",
	} {
		client.Send(message)
		client.Receive()

		lines := log.Lines(message)
		require.NotEmptyf(t, lines, `
			The client sent %s, but no line of the log has these bytes.`, wire.Show(message))
		for _, line := range lines {
			require.Containsf(t, line, "level=DEBUG", `
				The client sent %s, and Log got it at another level than debug: %s

				At any other level, you can't hide the messages without hiding what matters.`,
				wire.Show(message), strings.TrimSpace(line))
		}
	}
}

func messagesInTheDefaultLog(t *wire.T) {
	before, log := slog.Default(), t.Log(slog.LevelDebug)
	slog.SetDefault(log.Logger)
	defer slog.SetDefault(before)
	ln, _ := t.Serve(&echo.Server{})
	client := ln.Dial()

	client.Send("I am here")
	client.Receive()

	lines := log.Lines("I am here")
	require.NotEmpty(t, lines, `
		The client sent "I am here", but slog.Default() didn't get the message.

		A program can replace the default log with slog.SetDefault and set its level. A server
		without a Log of its own uses that one.`)
	require.Containsf(t, lines[0], "level=DEBUG", `
		The client sent "I am here", and slog.Default() got it at another level than debug: %s

		The level is the same, whichever log gets the message.`, strings.TrimSpace(lines[0]))
}

func messageInTheLogBeforeWrite(t *wire.T) {
	log := t.Log(slog.LevelDebug)
	ln, _ := t.Serve(&echo.Server{Log: log.Logger})
	client := ln.Dial()
	client.Hold(0) // the server waits in Write

	client.Send("I am here")
	t.Wait()

	require.NotEmpty(t, log.Lines("I am here"), `
		The client sent "I am here" and doesn't read. No line of the log has these bytes.

		Log gets a message before the server answers. A message that's logged after Write is in no
		log while Write waits, or if it fails.`)
}

func Test02_KeepsClientsApart(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#2-keep-clients-apart", "server.go")
	wire.Test(e, "a hundred clients that don't read yet", hundredClientsThatDontReadYet)
	wire.Test(e, "a client that sends twenty messages at once", twentyMessagesAtOnce)
	e.AgainUnderRace()
}

func hundredClientsThatDontReadYet(t *wire.T) {
	ln, serving := t.Serve(&echo.Server{})
	var clients []*wire.Peer
	for i := range 100 {
		client := ln.Dial()
		client.Hold(0) // the server waits in Write
		client.Send(fmt.Sprintf("I am client %03d", i+1))
		clients = append(clients, client)
	}

	require.Truef(t, t.Until(func() bool { return ln.Waiting() == 0 }), `
		100 clients connected, and the server accepted %d of them. Serve %s.

		Without MaxClients there's no limit.`, 100-ln.Waiting(), serving)
	for i, client := range slices.Backward(clients) { // the last client reads first
		client.Hold(wire.NoLimit)
		own := fmt.Sprintf("I am client %03d", i+1)
		answer := client.Receive()

		require.NotEmptyf(t, answer, `
			Client %d sent a message and read, but got no answer. The clients before it didn't
			read yet.

			If the server ended that connection: a timeout of 0 means no timeout. If not, it may be
			waiting for another client: in a lock, a channel or a Write.`, i+1)
		require.NotContainsf(t, strings.ReplaceAll(answer, own, ""), "I am client", `
			Client %d sent %q and got %s: another client's bytes.

			If all clients share a buffer or a variable, one goroutine changes it while another
			waits in Write.`, i+1, own, wire.Show(answer))
		require.Equalf(t, own, answer, `
			Client %d sent %q and got %s.

			An echo is the same bytes.`, i+1, own, wire.Show(answer))
	}
}

func twentyMessagesAtOnce(t *wire.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	ln, _ := t.Serve(&echo.Server{})
	client := ln.Dial()
	client.Hold(0) // a Write waits
	var all strings.Builder
	for i := range 20 {
		message := fmt.Sprintf("message %02d ", i+1)
		all.WriteString(message)
		client.Send(message)
	}

	t.Wait()
	client.Hold(len("message 01 ")) // one Write goes on, on one CPU the last of many
	answer := client.Receive()

	require.Equalf(t, len(all.String()), len(answer), `
		The client sent 20 messages with %d bytes in all, and %d bytes came back.`,
		len(all.String()), len(answer))
	require.Equalf(t, all.String(), answer, `
		The client sent "message 01" to "message 20", in this order. As many bytes came back, but
		they differ and begin with %q.

		If each Write runs in its own goroutine, the order is unpredictable. One goroutine per
		client writes its answers one after the other.`, answer[:10])
}

func Test03_CountsClients(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#3-count-clients", "server.go")
	wire.Test(e, "clients that come and go", clientsThatComeAndGo)
	wire.Test(e, "two clients with the same address", twoClientsWithTheSameAddress)
	e.AgainUnderRace()
}

func clientsThatComeAndGo(t *wire.T) {
	server := &echo.Server{}
	require.Zerof(t, server.Clients(), `
		Serve wasn't called yet, and Clients returned %d.

		No client is being served then, so it must return 0.`, server.Clients())
	ln, _ := t.Serve(server)
	clients := []*wire.Peer{ln.Dial(), ln.Dial(), ln.Dial(), ln.Dial()}
	server.Clients() // any goroutine may ask at any moment
	counts := func(n int) bool { return t.Until(func() bool { return server.Clients() == n }) }

	require.Truef(t, counts(4), `
		4 clients were connected, and Clients returned %d.`, server.Clients())

	clients[0].Close()
	clients[1].Reset()
	clients[2].CloseWrite()

	require.Truef(t, counts(1), `
		Of 4 clients, one closed its connection, one reset it, and one half-closed it. Then
		Clients returned %d instead of 1.

		A client that has left is no longer served.`, server.Clients())

	for range 3 {
		ln.Dial()
	}

	require.Truef(t, counts(4), `
		Of 4 clients, 3 left, and 3 more connected. Then Clients returned %d.`, server.Clients())
}

func twoClientsWithTheSameAddress(t *wire.T) {
	server := &echo.Server{}
	ln := t.Listen()
	t.Call(func() error { return server.Serve(namelessListener{ln}) })
	ln.Dial()
	ln.Dial()

	require.Truef(t, t.Until(func() bool { return server.Clients() == 2 }), `
		2 clients were connected, and Clients returned %d.

		All clients of a Unix socket have the same address. Only the net.Conn itself tells two
		clients apart.`, server.Clients())
}

// A namelessListener accepts connections whose peers have no name, as those of
// a Unix socket.
type namelessListener struct{ net.Listener }

func (ln namelessListener) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return namelessConn{conn.(*wire.Conn)}, nil
}

type namelessConn struct{ *wire.Conn }

func (namelessConn) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

func Test04_BacksOffAfterAcceptErrors(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#4-back-off-after-accept-errors", "server.go")
	wire.Test(e, "Accept fails fifty times", acceptFailsFiftyTimes)
	wire.Test(e, "Accept fails, works, and fails again", acceptFailsAgain)
	wire.Test(e, "the listener is closed", listenerIsClosed)
}

func acceptFailsFiftyTimes(t *wire.T) {
	ln := t.Listen()
	ln.Fail(slices.Repeat([]error{syscall.EMFILE}, 50)...)
	client := ln.Dial()
	client.Send("hello")
	serving := t.Call(func() error { return (&echo.Server{}).Serve(ln) })

	time.Sleep(time.Minute)

	require.Falsef(t, serving.Returned(), `
		Accept failed with %q, and Serve %s.

		This error passes: a descriptor is free again as soon as one client leaves.`,
		syscall.EMFILE.Error(), serving)
	pauses := pausesOf(ln)
	for i := range 50 {
		want := min(5*time.Millisecond<<min(i, 8), time.Second)
		require.Greaterf(t, len(pauses), i, `
			After failure %d of 50, Serve didn't call Accept again within a minute.`, i+1)
		require.NotZerof(t, pauses[i], `
			After failure %d of 50, Serve called Accept again at once.

			As long as no descriptor is free, that's a busy loop that burns a whole CPU.`, i+1)
		require.Equalf(t, want, pauses[i], `
			After failure %d of 50, Serve called Accept again after %v instead of %v.

			The pauses are 5 ms, 10 ms, 20 ms and so on: each twice the one before, up to 1 s.`,
			i+1, pauses[i], want)
	}
	answer := strings.Join(client.Arrived(), "")
	require.Equalf(t, "hello", answer, `
		Accept worked again. A client that had waited had sent "hello" and got %s.`,
		wire.Show(answer))
}

// pausesOf returns the time between the calls of Accept.
func pausesOf(ln *wire.Listener) (pauses []time.Duration) {
	calls := ln.Calls()
	for i := 1; i < len(calls); i++ {
		pauses = append(pauses, calls[i].Sub(calls[i-1]))
	}
	return pauses
}

func acceptFailsAgain(t *wire.T) {
	ln, serving := t.Serve(&echo.Server{})
	ln.Fail(syscall.EMFILE, syscall.EMFILE, syscall.EMFILE)
	time.Sleep(time.Second)
	ln.Dial()
	t.Wait() // Accept has worked

	ln.Fail(errors.New("no buffer space is left"))
	failed := time.Now()
	client := ln.Dial()
	client.Send("hello")
	answer := client.Receive()

	require.Falsef(t, serving.Returned(), `
		Accept failed with "no buffer space is left", and Serve %s.

		Only one error is final, net.ErrClosed. Serve tries again after every other error, whatever
		the error says.`, serving)
	require.Equalf(t, "hello", answer, `
		Accept failed three times, then worked. The next client sent "hello" and got %s.`,
		wire.Show(answer))
	calls := ln.Calls()
	pause := calls[len(calls)-2].Sub(failed)
	require.Equalf(t, 5*time.Millisecond, pause, `
		Accept failed three times, worked, and failed again. Then Serve paused for %v instead of
		5 ms.

		After a success the pauses start again at 5 ms.`, pause)
}

func listenerIsClosed(t *wire.T) {
	ln, serving := t.Serve(&echo.Server{})
	ln.Dial() // it stays
	t.Wait()

	ln.Close()

	require.True(t, serving.Returned(), `
		The listener was closed, but Serve didn't return.

		A closed listener stays closed: Accept fails with net.ErrClosed forever. The error is
		wrapped, so errors.Is finds it and == doesn't. If Serve waits for the client that's still
		connected, it mustn't: return the error at once.`)
	require.ErrorIsf(t, serving.Err(), net.ErrClosed, `
		The listener was closed without Shutdown, and Serve didn't return Accept's error: it %s.

		The error tells Serve's caller that the server no longer serves clients.`, serving)
	require.NotErrorIsf(t, serving.Err(), echo.ErrServerClosed, `
		The listener was closed without Shutdown, and Serve returned ErrServerClosed: it %s.

		That error means that Shutdown was called. If it is net.ErrClosed or wraps it, the caller
		can't tell the two apart: make an error of your own, with errors.New.`, serving)
}

func Test05_LimitsTheNumberOfClients(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#5-limit-the-number-of-clients", "server.go")
	wire.Test(e, "four clients where MaxClients is 2", fourClientsForTwoSlots)
	for _, way := range waysToLeave {
		wire.Test(e, way.scenario, func(t *wire.T) { slotIsReleased(t, way.leave) })
	}
	wire.Test(e, "a client waits until a silent one is disconnected", slotIsReleasedAtTheEnd)
}

func fourClientsForTwoSlots(t *wire.T) {
	ln, serving := t.Serve(&echo.Server{MaxClients: 2})
	var clients []*wire.Peer
	for range 4 {
		client := ln.Dial()
		client.Send("hello")
		clients = append(clients, client)
	}
	t.Wait()

	require.LessOrEqualf(t, ln.Waiting(), 2, `
		4 clients connected, and the server accepted only %d instead of 2. Serve %s.`,
		4-ln.Waiting(), serving)
	require.Equalf(t, 2, ln.Waiting(), `
		4 clients connected, and the server accepted %d instead of 2. Serve %s.

		A client without a slot waits in the kernel's backlog and costs the server nothing. So
		acquire a slot, then call Accept, both before you start the client's goroutine.`,
		4-ln.Waiting(), serving)
	for i, client := range clients[:2] {
		answer := client.Receive()
		require.Equalf(t, "hello", answer, `
			Client %d sent "hello" and got %s. Serve %s.`, i+1, wire.Show(answer), serving)
	}
}

var waysToLeave = []struct {
	scenario string
	leave    func(ln *wire.Listener, client *wire.Peer)
}{
	{"MaxClients is 1, and the client closes its connection",
		func(_ *wire.Listener, client *wire.Peer) { client.Close() }},
	{"MaxClients is 1, and the client half-closes its connection",
		func(_ *wire.Listener, client *wire.Peer) { client.CloseWrite() }},
	{"MaxClients is 1, and the client resets its connection",
		func(_ *wire.Listener, client *wire.Peer) { client.Reset() }},
	{"MaxClients is 1, and the client resets its connection during Write",
		func(_ *wire.Listener, client *wire.Peer) {
			client.Hold(0)
			client.Send("one", "two", "three")
			client.Arrived() // the server waits in Write
			client.Reset()
		}},
	{"MaxClients is 1, the client leaves, and Accept fails",
		func(ln *wire.Listener, client *wire.Peer) {
			ln.Fail(syscall.EMFILE, syscall.EMFILE, syscall.EMFILE)
			client.Close()
		}},
}

func slotIsReleased(t *wire.T, leave func(ln *wire.Listener, client *wire.Peer)) {
	ln, serving := t.Serve(&echo.Server{MaxClients: 1})
	client := ln.Dial()
	client.Send("hello")
	answer := client.Receive()
	require.Equalf(t, "hello", answer, `
		The client sent "hello" and got %s.`, wire.Show(answer))
	next := ln.Dial()
	next.Send("hello")

	leave(ln, client)
	time.Sleep(100 * time.Millisecond)
	t.Wait()
	late := ln.Waiting() > 0

	answer = next.Receive()
	require.Equalf(t, "hello", answer, `
		After that the next client sent "hello" and got %s. Serve %s.

		If Serve waits for a slot, one wasn't released when a client left or when Accept failed. A
		slot must be released on every way out.`, wire.Show(answer), serving)
	require.False(t, late, `
		The server accepted the next client later than 100 ms after that.

		If Serve sleeps before it looks again, the next client waits although a slot is free. A
		channel or a semaphore makes Serve wait exactly as long as it must. If the server waits
		before it closes, an error from Read must end that wait at once.`)
}

// Exercise 6 gives IdleTimeout a meaning. Until then the first client stays, so
// the second one isn't accepted, and this passes.
func slotIsReleasedAtTheEnd(t *wire.T) {
	server := &echo.Server{MaxClients: 1, IdleTimeout: time.Minute}
	ln, _ := t.Serve(server)
	ln.Dial() // it's silent, and doesn't close when the server does
	t.Wait()
	served := 0
	ln.OnAccept(func() { served = server.Clients() })
	ln.Dial()

	time.Sleep(2 * time.Minute)
	t.Wait()

	require.Zerof(t, served, `
		MaxClients is 1. The server accepted the next client while Clients still returned %d.

		Clients must never return more than MaxClients. The slot comes last: close the
		connection, stop counting the client, release its slot.`, served)
}

func Test06_DisconnectsSilentClients(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#6-disconnect-silent-clients", "server.go")
	wire.Test(e, "a client that never sends anything", silentClient)
	wire.Test(e, "a client that sends something every 25 seconds", talkativeClient)
	wire.Test(e, "IdleTimeout is 500 ms", shortIdleTimeout)
	wire.Test(e, "IdleTimeout is 0", noIdleTimeout)
}

func silentClient(t *wire.T) {
	server := &echo.Server{IdleTimeout: time.Minute, MaxClients: 1}
	ln, _ := t.Serve(server)
	silent := ln.Dial()

	time.Sleep(58 * time.Second)

	require.False(t, silent.Ended(), `
		The server disconnected the client within 59 s, though IdleTimeout is one minute.`)

	time.Sleep(7 * time.Second) // 66 s: a tenth more than a minute
	late := !silent.Ended()
	time.Sleep(2 * time.Minute)

	require.True(t, silent.Ended(), `
		The client was still connected after three minutes, though IdleTimeout is one minute.

		If the picture ends with "waits for more", Read has no deadline, or a later one. If not,
		Read may have failed, but the connection wasn't closed.`)
	require.False(t, late, `
		The server disconnected the client, but only after 66 s or more, though IdleTimeout is one
		minute.

		The time counts from the client's last message, or from the moment when it connected. The
		server may be late by a tenth at most.`)
	require.True(t, silent.Closed(), `
		The server half-closed the connection after IdleTimeout, but didn't close it within a
		second.

		If it waits for the client to close, it must set a deadline. An open connection holds a
		descriptor.`)
	require.Zerof(t, server.Clients(), `
		The server disconnected its only client, but Clients returned %d.`, server.Clients())
	next := ln.Dial()
	next.Send("hello")
	answer := next.Receive()
	require.Equalf(t, "hello", answer, `
		MaxClients is 1. The server disconnected its only client, but the next one sent "hello" and
		got %s.`, wire.Show(answer))
}

func talkativeClient(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{IdleTimeout: time.Minute})
	client := ln.Dial()
	begin := time.Now()

	for range 7 {
		client.Send("still here")
		answer := client.Receive()

		require.Equalf(t, "still here", answer, `
			IdleTimeout is one minute. After %v the client sent "still here" and got %s.

			A deadline is a moment, not a duration: each message moves it.`,
			time.Since(begin).Round(time.Second), wire.Show(answer))
		time.Sleep(25 * time.Second)
	}
	time.Sleep(41 * time.Second)

	require.True(t, client.Ended(), `
		Then the client was silent for 66 s, but it was still connected, though IdleTimeout is one
		minute.

		A client that has sent something can fall silent like any other.`)
}

func shortIdleTimeout(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{IdleTimeout: 500 * time.Millisecond})
	client := ln.Dial()

	for range 7 {
		time.Sleep(300 * time.Millisecond) // Receive takes 100 ms more
		client.Send("still here")
		answer := client.Receive()

		require.Equalf(t, "still here", answer, `
			The client was never silent for more than 400 ms. It sent "still here" and got %s.

			IdleTimeout may be any duration, not only whole seconds.`, wire.Show(answer))
	}
	begin := time.Now().Add(-100 * time.Millisecond) // Receive waited for more

	ended := client.Ended()
	require.True(t, ended && time.Since(begin) <= 550*time.Millisecond, `
		Then the client was silent, and it was still connected after 550 ms.

		The server may be late by a tenth at most. IdleTimeout may be any duration, not only whole
		seconds. If the server waits before it closes, it must half-close first.`)
}

func noIdleTimeout(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{})
	client := ln.Dial()

	t.Sleep(3 * time.Hour)
	client.Send("good morning")
	answer := client.Receive()

	require.Equalf(t, "good morning", answer, `
		The client was silent for three hours, then sent "good morning" and got %s.

		An IdleTimeout of 0 means no timeout: set no deadline.`, wire.Show(answer))
}

func Test07_DisconnectsClientsThatNeverRead(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#7-disconnect-clients-that-never-read", "server.go")
	wire.Test(e, "a client that never reads", clientThatNeverReads)
	wire.Test(e, "a client that reads each answer after 25 seconds", slowReader)
	wire.Test(e, "a client that asks nothing for two minutes", quickReaderAfterAPause)
	wire.Test(e, "WriteTimeout is 500 ms, and IdleTimeout is an hour", shortWriteTimeout)
	wire.Test(e, "WriteTimeout is 0, and IdleTimeout is one minute", noWriteTimeout)
	wire.Test(e, "a client that sends 4 MiB and never reads", serverStopsReading)
	wire.Test(e, "a client that reads a byte every 20 seconds", aByteNowAndThen)
	wire.Test(e, "IdleTimeout is one minute, and a client that keeps sending but doesn't read",
		messagesDuringAWrite)
}

func clientThatNeverReads(t *wire.T) {
	server := &echo.Server{WriteTimeout: time.Minute, MaxClients: 2}
	ln, _ := t.Serve(server)
	other, greedy := ln.Dial(), ln.Dial()
	greedy.Hold(0)
	greedy.Send("one", "two", "three")

	time.Sleep(50 * time.Second)
	other.Send("and me?")
	answer := other.Receive()

	require.NotEmpty(t, answer, `
		Meanwhile another client sent "and me?" and got no answer.

		If the server ended that connection, it may have taken an IdleTimeout of 0 for a timeout,
		or set Write's deadline too early. If not, it may be waiting for the Write to the client
		that never reads.`)
	require.Equalf(t, "and me?", answer, `
		Meanwhile another client sent "and me?" and got %s.`, wire.Show(answer))
	require.False(t, greedy.IsClosed(), `
		The server closed the connection within 51 s, though WriteTimeout is one minute.`)

	time.Sleep(15 * time.Second)

	require.True(t, greedy.Ended(), `
		The client was still connected after 66 s, though WriteTimeout is one minute.

		If the end of client 2's picture says "waits in Write", Write has no deadline or a later
		one, or process ignored an earlier Write's error. If it says "waits for more", process
		ignored Write's error. With neither, process returned without Close, or waits for
		something else.`)
	require.True(t, greedy.Closed(), `
		The server half-closed the connection after WriteTimeout, but didn't close it within a
		second.`)
	require.Truef(t, t.Until(func() bool { return server.Clients() == 1 }), `
		The server disconnected one of two clients, but Clients returned %d.`, server.Clients())
	next := ln.Dial()
	next.Send("hello")
	answer = next.Receive()
	require.Equalf(t, "hello", answer, `
		MaxClients is 2. The server disconnected one of two clients, but the next one sent "hello"
		and got %s.`, wire.Show(answer))
}

func slowReader(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{WriteTimeout: time.Minute})
	client := ln.Dial()
	begin := time.Now()

	for range 7 {
		client.Hold(0)
		client.Send("take your time")
		time.Sleep(25 * time.Second)
		client.Hold(wire.NoLimit)
		answer := client.Receive()

		require.Equalf(t, "take your time", answer, `
			WriteTimeout is one minute. The client read every answer in time, but after %v it
			sent "take your time" and got %s.

			A deadline is a moment, not a duration: set a new one before each Write.`,
			time.Since(begin).Round(time.Second), wire.Show(answer))
	}
}

func quickReaderAfterAPause(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{WriteTimeout: time.Minute})
	client := ln.Dial()
	client.Send("hello")
	client.Receive()

	time.Sleep(2 * time.Minute)

	require.False(t, client.Ended(), `
		The server disconnected the client while it was silent, though IdleTimeout is 0.

		WriteTimeout is for Write alone. SetDeadline sets a deadline for Read as well.`)
	client.Send("here I am again")
	answer := client.Receive()
	require.Equalf(t, "here I am again", answer, `
		The client sent "here I am again", read at once, and got %s, though WriteTimeout is one
		minute.

		If the deadline had passed before Write began, it was set too early. Set it when the
		message has come, just before Write.`, wire.Show(answer))
}

func shortWriteTimeout(t *wire.T) {
	server := &echo.Server{IdleTimeout: time.Hour, WriteTimeout: 500 * time.Millisecond}
	ln, _ := t.Serve(server)
	client := ln.Dial()

	for range 7 {
		client.Hold(0)
		client.Send("take your time")
		time.Sleep(400 * time.Millisecond)
		client.Hold(wire.NoLimit)
		answer := client.Receive()

		require.Equalf(t, "take your time", answer, `
			A client that reads each answer after 400 ms sent "take your time" and got %s.

			WriteTimeout may be any duration, not only whole seconds.`, wire.Show(answer))
	}
	client.Hold(0)
	client.Send("I read no more")
	begin := time.Now()

	ended := client.Ended()
	require.True(t, ended && time.Since(begin) <= 550*time.Millisecond, `
		Then the client sent "I read no more", and it was still connected after 550 ms.

		The server may be late by a tenth at most. Write needs its deadline whether IdleTimeout is 0
		or not, and WriteTimeout may be any duration, not only whole seconds. If the server waits
		before it closes, it must half-close first.`)
}

func noWriteTimeout(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{IdleTimeout: time.Minute})
	client := ln.Dial()
	client.Hold(0)

	client.Send("good morning")
	t.Sleep(3 * time.Hour)
	client.Hold(wire.NoLimit)
	answer := client.Receive()

	require.Equalf(t, "good morning", answer, `
		The client sent "good morning", read three hours later, and got %s.

		A WriteTimeout of 0 means no timeout. IdleTimeout is for a client that sends nothing; it
		doesn't limit how long the client takes to read.`, wire.Show(answer))
}

func messagesDuringAWrite(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{IdleTimeout: time.Minute})
	client := ln.Dial()
	client.Hold(0)
	client.Send("one,")
	for _, message := range []string{"two,", "three,", "four,"} {
		time.Sleep(25 * time.Second)
		client.Send(message)
	}

	client.Hold(wire.NoLimit)
	answers := client.Receive()

	require.Equalf(t, "one,two,three,four,", answers, `
		The client sent a message every 25 s, and read after 75 s. It got %s.

		The idle time begins when the server waits for a message. If its deadline is older than the
		last Write, it may have passed, and Read fails even if messages have come.`,
		wire.Show(answers))
}

func serverStopsReading(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{})
	client := ln.Dial()
	client.Hold(0)

	client.Send(slices.Repeat([]string{strings.Repeat("m", 4096)}, 1024)...)
	t.Wait() // the server has done what it can

	read := 4<<20 - client.Unread()
	require.LessOrEqualf(t, read, 1<<20, `
		The server read %d bytes of them, more than 1 MiB, though the client read no answer.

		If it keeps the answers, they fill its memory. While Write waits, the server must stop
		reading. Then the kernel's buffers fill up, and the client must wait as well.`, read)
}

func aByteNowAndThen(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{WriteTimeout: time.Minute})
	client := ln.Dial()
	client.Hold(0)
	client.Send("please hurry")

	for bytes := range 3 {
		time.Sleep(19 * time.Second)
		client.Hold(bytes + 1)
	}
	time.Sleep(9 * time.Second)

	require.True(t, client.Closed(), `
		The client read 3 bytes of its answer within a minute. After 67 s the server hadn't closed
		the connection, though WriteTimeout is one minute.

		The time counts from the start of Write, and bytes that have gone out don't move it. Set
		the deadline once for each answer.`)
}

func Test08_ShutsDownGracefully(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#8-shut-down-gracefully", "server.go")
	wire.Test(e, "the error ErrServerClosed", errorOfItsOwn)
	wire.Test(e, "Shutdown, with idle clients", shutdownWithIdleClients)
	wire.Test(e, "Shutdown, while a client is being answered", shutdownDuringAnAnswer)
	wire.Test(e, "the last answer after Shutdown", lastAnswerAfterShutdown)
	wire.Test(e, "Shutdown, when a message has just been logged", shutdownAfterTheLog)
	wire.Test(e, "a client that doesn't close when the server does", clientThatStays)
	wire.Test(e, "a client that closes when the server does", clientThatCloses)
	wire.Test(e, "a client that never stops sending", clientThatNeverStops)
	wire.Test(e, "Shutdown, while the server is disconnecting a client", shutdownDuringTheEnd)
	wire.Test(e, "a client that never reads, after WriteTimeout", endAfterAFailedWrite)
	wire.Test(e, "a connection that has no CloseWrite", connectionWithoutCloseWrite)
	wire.Test(e, "ten clients that have left", func(t *wire.T) {
		goroutinesEnd(t, (*wire.Peer).Close)
	})
	wire.Test(e, "Shutdown, when a message has just been read", shutdownAfterTheRead)
	wire.Test(e, "a client that reads its last answer late", lastAnswerReadLate)
	wire.Test(e, "a client that sends 1 MiB when the server has half-closed", muchAfterTheEnd)
	wire.Test(e, "Shutdown without a time limit, and a client that never reads",
		writeTimeoutDuringShutdown)
	for _, way := range otherWaysOut {
		wire.Test(e, way.scenario, func(t *wire.T) { goroutinesEnd(t, way.leave) })
	}
}

func errorOfItsOwn(t *wire.T) {
	require.Error(t, echo.ErrServerClosed, `
		ErrServerClosed is nil, so Serve's caller can't tell it from success.`)
	require.False(t, errors.Is(echo.ErrServerClosed, net.ErrClosed), `
		ErrServerClosed is net.ErrClosed, or wraps it. Without Shutdown, Serve returns net.ErrClosed
		if its listener was closed. So errors.Is(err, net.ErrClosed) can't tell the two apart.

		Make an error of your own, with errors.New.`)
}

func shutdownWithIdleClients(t *wire.T) {
	server := &echo.Server{IdleTimeout: time.Hour, MaxClients: 10}
	ln, serving := t.Serve(server)
	fresh, idle := ln.Dial(), ln.Dial()
	idle.Send("hello")
	answer := idle.Receive()
	require.Equalf(t, "hello", answer, `
		Before Shutdown, a client sent "hello" and got %s.`, wire.Show(answer))

	stopping, left := shutDown(t, server, fresh, idle)
	begin := time.Now()

	require.True(t, idle.Ended() && fresh.Ended(), `
		An idle client was still connected after a second.

		Closing the listener doesn't touch the connections it has accepted, and Read waits on. A
		read deadline in the past ends Read.`)
	require.LessOrEqual(t, time.Since(begin), 100*time.Millisecond, `
		Shutdown came, and the idle clients learned of it later than 100 ms after that.

		If process looks for Shutdown now and then, let Shutdown end each Read instead: a read
		deadline in the past does that. If the server waits before it closes, it must half-close
		first.`)
	require.True(t, ln.Closed(), `
		The listener was still open after a second, so clients can still connect.`)
	require.Truef(t, serving.Returned() && errors.Is(serving.Err(), echo.ErrServerClosed), `
		Serve didn't return ErrServerClosed: it %s.

		ErrServerClosed tells Serve's caller that the server was stopped on purpose.`, serving)
	require.Truef(t, stopping.Returned() && stopping.Err() == nil, `
		Both clients saw their connection end. A second later Shutdown hadn't returned nil: it %s.

		When the last client has left, Shutdown returns nil. If it's still running, the server
		must close both connections within a second of CloseWrite, and Shutdown must learn of it.`,
		stopping)
	require.Zerof(t, left.clients, `
		Shutdown returned nil, and at that moment Clients returned %d.

		Shutdown waits until the last client has left. Then Clients returns 0.`, left.clients)
	require.False(t, left.open, `
		Shutdown returned nil while a client's connection was still open.

		If the program exits then, it can reset that connection. The server must close each
		connection before it stops counting its client.`)
}

// leftovers are what's left when Shutdown returns.
type leftovers struct {
	clients int
	open    bool // the connection of at least one peer
}

// shutDown calls Shutdown, and notes what's left once that has returned.
func shutDown(t *wire.T, server *echo.Server, peers ...*wire.Peer) (*wire.Task, *leftovers) {
	left := new(leftovers)
	return t.Call(func() error {
		err := server.Shutdown(context.Background())
		left.clients = server.Clients()
		for _, peer := range peers {
			left.open = left.open || !peer.IsClosed()
		}
		return err
	}), left
}

func shutdownDuringAnAnswer(t *wire.T) {
	server := &echo.Server{IdleTimeout: time.Hour, MaxClients: 10}
	ln, serving := t.Serve(server)
	busy := ln.Dial()
	busy.Hold(0)
	busy.Send("my last question", ", and one more")
	t.Wait()           // the server has read the first part and waits in Write
	defer busy.Close() // so that Shutdown ends
	stopping := t.Call(func() error { return server.Shutdown(context.Background()) })

	require.Falsef(t, stopping.Returned(), `
		Shutdown %s before the client had its answer.

		A program that exits then cuts that answer. If the picture shows that the server ended the
		connection: Close and SetDeadline end a Write as well as a Read.`, stopping)
	require.True(t, serving.Returned(), `
		Shutdown waited for the client's answer, and Serve didn't return either.

		Only Shutdown waits for the last client. Serve returns ErrServerClosed at once.`)
}

func lastAnswerAfterShutdown(t *wire.T) {
	server := &echo.Server{IdleTimeout: time.Hour, MaxClients: 10}
	ln, _ := t.Serve(server)
	busy := ln.Dial()
	busy.Hold(0)
	busy.Send("my last question", ", and one more")
	t.Wait() // the server has read the first part and waits in Write

	stopping := t.Call(func() error { return server.Shutdown(context.Background()) })
	t.Wait() // Shutdown has begun
	busy.Hold(wire.NoLimit)
	answer := busy.Receive()

	require.Truef(t, strings.HasPrefix("my last question, and one more", answer) &&
		strings.HasPrefix(answer, "my last question"), `
		The server had read "my last question", and the client got %s.

		A message that the server has read gets its answer, all of it.`, wire.Show(answer))
	require.True(t, busy.Ended(), `
		The client got its last answer, but it was still connected a second later.

		If the server waits for the next message, look for Shutdown before each Read, after you've
		set the deadline.`)
	require.False(t, busy.WasReset(), `
		The client got its last answer, then the server reset the connection.

		Bytes that are unread at Close cause a reset, which can destroy an answer in flight. Call
		CloseWrite, discard for half a second what the client still sends, then close. If you
		wrap the connection, keep its CloseWrite.`)
	require.Truef(t, stopping.Returned() && stopping.Err() == nil, `
		The client got its last answer two seconds ago, but Shutdown didn't return nil: it %s.

		When the last client has left, Shutdown returns nil. If it's still running, the server
		must close the connection within a second of CloseWrite, and Shutdown must learn of it.`,
		stopping)
}

func shutdownAfterTheLog(t *wire.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so Shutdown runs when the hook yields
	ctx := wire.NewContext()
	server := &echo.Server{IdleTimeout: time.Hour}
	shutdown := sync.OnceFunc(func() { t.Call(func() error { return server.Shutdown(ctx) }) })
	server.Log = wire.OnMessage("just in time", func() {
		shutdown()
		// Shutdown calls ctx.Done when it has stopped the server and begins to
		// wait. ctx lets other goroutines run until then.
		ctx.WaitUntilWatched()
	})
	ln, _ := t.Serve(server)
	client := ln.Dial()

	client.Send("just in time")
	answer := client.Receive()

	require.Equalf(t, "just in time", answer, `
		The client sent "just in time", and the server read and logged it. Then Shutdown came, and
		the client got %s.

		A message that the server has read gets its answer.`, wire.Show(answer))
	client.Close()
}

// shutDownAfterAnAnswer returns a client that got an answer from a server whose
// Shutdown was called then.
func shutDownAfterAnAnswer(t *wire.T) *wire.Peer {
	server := &echo.Server{IdleTimeout: time.Hour, MaxClients: 10}
	ln, _ := t.Serve(server)
	client := ln.Dial()
	client.Send("hello")
	client.Receive()
	t.Call(func() error { return server.Shutdown(context.Background()) })
	return client
}

func clientThatStays(t *wire.T) {
	client := shutDownAfterAnAnswer(t)

	for range 4 {
		time.Sleep(100 * time.Millisecond)
		client.Send("and another thing")
	}
	t.Wait()

	require.False(t, client.IsClosed(), `
		The server closed the connection less than 400 ms after Shutdown.

		Bytes that arrive later cause a reset, which can destroy the last answer. Each connection
		ends with CloseWrite, then half a second of reading, as many Reads as it takes, then Close.
		If you wrap the connection, keep its CloseWrite.`)
	client.Close()
}

func clientThatCloses(t *wire.T) {
	client := shutDownAfterAnAnswer(t)
	client.Ended()

	client.Close()
	time.Sleep(100 * time.Millisecond)
	t.Wait()

	require.True(t, client.IsClosed(), `
		The server half-closed the connection, then the client closed it. 100 ms later the server
		hadn't closed it.

		Half a second is the most that the server waits. When the client closes, Read returns an
		error: nothing more comes, so close at once.`)
}

func clientThatNeverStops(t *wire.T) {
	client := shutDownAfterAnAnswer(t)

	for range 8 {
		time.Sleep(150 * time.Millisecond)
		client.Send("and another thing")
	}
	t.Wait()

	require.True(t, client.IsClosed(), `
		1.2 s after Shutdown the server hadn't closed the connection.

		If it still reads, set the deadline of that Read once: the half second counts from
		CloseWrite, not from the client's last byte.`)
}

func shutdownDuringTheEnd(t *wire.T) {
	server := &echo.Server{IdleTimeout: time.Minute}
	ln, _ := t.Serve(server)
	client := ln.Dial()
	time.Sleep(time.Minute + 100*time.Millisecond) // the server has half-closed, and reads on
	t.Wait()
	require.False(t, client.IsClosed(), `
		IdleTimeout was over, and within 100 ms the server closed the connection.

		Every connection ends in three steps, even after IdleTimeout: CloseWrite, half a second of
		reading, Close. Otherwise bytes that arrive later cause a reset.`)

	t.Call(func() error { return server.Shutdown(context.Background()) })
	time.Sleep(100 * time.Millisecond)
	t.Wait()

	require.False(t, client.IsClosed(), `
		IdleTimeout was over. 100 ms later Shutdown came, and 100 ms after that the server had
		closed the connection.

		Each connection gets its half second of reading, even if Shutdown comes meanwhile. If the
		deadline that Shutdown sets ends that Read, set it again and read on.`)
	client.Close()
}

func endAfterAFailedWrite(t *wire.T) {
	server := &echo.Server{IdleTimeout: time.Hour, WriteTimeout: time.Minute}
	ln, _ := t.Serve(server)
	client := ln.Dial()
	client.Hold(0)
	client.Send("hello")

	time.Sleep(time.Minute + 100*time.Millisecond)
	t.Wait()

	require.False(t, client.IsClosed(), `
		WriteTimeout was over, and within 100 ms the server closed the connection.

		Every connection ends in three steps, even if Write failed: CloseWrite, half a second of
		reading, Close. Otherwise bytes that arrive later cause a reset.`)
	client.Close()
}

func connectionWithoutCloseWrite(t *wire.T) {
	server := &echo.Server{IdleTimeout: time.Hour}
	ln := t.Listen()
	t.Call(func() error { return server.Serve(wire.PlainListener{Listener: ln}) })
	client := ln.Dial()
	client.Send("hello")
	client.Receive()

	stopping := t.Call(func() error { return server.Shutdown(context.Background()) })
	time.Sleep(100 * time.Millisecond)
	t.Wait()
	atOnce := client.IsClosed()

	require.True(t, client.Closed(), `
		A second after Shutdown the connection was still open.

		A net.Conn without CloseWrite is closed directly.`)
	require.True(t, atOnce, `
		Shutdown came, and 100 ms later the server hadn't closed the connection.

		A net.Conn without CloseWrite is closed directly: the client can't know that the server
		waits for its end.`)
	require.Truef(t, stopping.Returned() && stopping.Err() == nil, `
		The server had closed the only connection. Shutdown didn't return nil: it %s.`, stopping)
}

func goroutinesEnd(t *wire.T, leave func(client *wire.Peer)) {
	server := &echo.Server{IdleTimeout: time.Minute, WriteTimeout: time.Minute}
	ln, _ := t.Serve(server)
	comeAndGo := func() {
		client := ln.Dial()
		client.Send("hello")
		client.Receive()
		leave(client)
		time.Sleep(time.Second)
	}
	comeAndGo()
	before := t.Goroutines()

	for range 10 {
		comeAndGo()
	}

	require.LessOrEqualf(t, t.Goroutines(), before, `
		The server has %d goroutines more than before the ten clients came.

		If a goroutine waits for Shutdown alone, it outlives its client: that's a goroutine leak.
		Each goroutine must end with its client.`, t.Goroutines()-before)
}

// otherWaysOut are the ways in which a client leaves without a Close.
var otherWaysOut = []struct {
	scenario string
	leave    func(client *wire.Peer)
}{
	{"ten clients that half-closed", (*wire.Peer).CloseWrite},
	{"ten clients that reset their connection", (*wire.Peer).Reset},
	{"ten clients that reset their connection during Write",
		func(client *wire.Peer) {
			client.Hold(0)
			client.Send("one", "two", "three")
			client.Arrived() // the server waits in Write
			client.Reset()
		}},
	{"ten silent clients, after IdleTimeout",
		func(*wire.Peer) { time.Sleep(66 * time.Second) }},
	{"ten clients that never read, after WriteTimeout",
		func(client *wire.Peer) {
			client.Hold(0)
			client.Send("hello")
			time.Sleep(66 * time.Second)
		}},
}

func shutdownAfterTheRead(t *wire.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so Shutdown runs when the hook yields
	ctx := wire.NewContext()
	server := &echo.Server{IdleTimeout: time.Hour}
	ln, _ := t.Serve(server)
	client := ln.Dial()
	client.OnRead(func() {
		t.Call(func() error { return server.Shutdown(ctx) })
		ctx.WaitUntilWatched() // Shutdown has stopped the server, then Read returns
	})

	client.Send("just in time")
	answer := client.Receive()

	require.Equalf(t, "just in time", answer, `
		The client sent "just in time". While the server's Read returned it, Shutdown came, and the
		client got %s.

		A message that the server has read gets its answer. Look for Shutdown before you read, not
		between Read and Write.`, wire.Show(answer))
	client.Close()
}

func lastAnswerReadLate(t *wire.T) {
	server := &echo.Server{IdleTimeout: time.Hour}
	_, client := serveInWrite(t, server)
	t.Call(func() error { return server.Shutdown(context.Background()) })
	time.Sleep(2 * time.Second)

	client.Hold(wire.NoLimit)
	client.Arrived()
	for range 4 {
		time.Sleep(100 * time.Millisecond)
		client.Send("and another thing")
	}
	t.Wait()

	require.False(t, client.IsClosed(), `
		The client read its last answer two seconds after Shutdown, and less than 400 ms after that
		the server closed the connection.

		Each connection gets half a second of reading, and it counts from that connection's
		CloseWrite, not from Shutdown.`)
	client.Close()
}

func muchAfterTheEnd(t *wire.T) {
	client := shutDownAfterAnAnswer(t)
	time.Sleep(100 * time.Millisecond)

	client.Send(slices.Repeat([]string{strings.Repeat("m", 4096)}, 256)...)
	time.Sleep(200 * time.Millisecond)
	t.Wait()

	require.False(t, client.IsClosed(), `
		The client sent 1 MiB 100 ms after Shutdown. Within 200 ms after that the server closed the
		connection.

		The server discards what still comes for half a second, however much that is. A limit in
		bytes leaves the rest unread, and that causes a reset.`)
	client.Close()
}

func writeTimeoutDuringShutdown(t *wire.T) {
	server := &echo.Server{WriteTimeout: time.Minute}
	_, client := serveInWrite(t, server)

	stopping := t.Call(func() error { return server.Shutdown(context.Background()) })
	time.Sleep(66 * time.Second)
	ended := client.Ended()
	time.Sleep(time.Second)

	require.True(t, ended, `
		The client was still connected 66 s after Shutdown, though WriteTimeout is one minute.

		Shutdown doesn't lift WriteTimeout. Otherwise it waits forever for a client that never
		reads.`)
	require.Truef(t, stopping.Returned() && stopping.Err() == nil, `
		The server disconnected its only client after WriteTimeout, but Shutdown didn't return nil:
		it %s.`, stopping)
}

func Test09_ClosesTheRestWhenTheContextEnds(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#9-close-the-rest-when-the-context-ends",
		"server.go")
	wire.Test(e, "a client that never reads, and a minute for Shutdown", shutdownRunsOutOfTime)
	wire.Test(e, "a client that never reads, and a context that's canceled", shutdownIsCanceled)
	wire.Test(e, "three clients, and 200 ms for Shutdown", shutdownClosesTheRest)
	wire.Test(e, "a client that never reads, and a context that's done", shutdownWithoutTime)
	e.AgainUnderRace()
}

// serveInWrite starts the server, which then waits in Write. It returns its
// Serve, and its only client, which reads nothing.
func serveInWrite(t *wire.T, server *echo.Server) (*wire.Task, *wire.Peer) {
	ln, serving := t.Serve(server)
	client := ln.Dial()
	client.Hold(0)
	client.Send("hello")
	t.Wait()
	return serving, client
}

func shutdownRunsOutOfTime(t *wire.T) {
	server := &echo.Server{}
	serving, stubborn := serveInWrite(t, server)
	require.Equalf(t, 1, server.Clients(), `
		A client was connected, and Clients returned %d.`, server.Clients())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	stopping := t.Call(func() error { return server.Shutdown(ctx) })
	time.Sleep(55 * time.Second)

	require.Falsef(t, stopping.Returned(), `
		Shutdown %s before its minute was over, and the client didn't have its answer.`,
		stopping)

	time.Sleep(4 * time.Second)

	require.True(t, stopping.Returned(), `
		ctx was done, but Shutdown didn't return.

		One client that doesn't read its answer holds up the end of the program.`)
	require.ErrorIsf(t, stopping.Err(), context.DeadlineExceeded, `
		ctx was done before the last client had left, but Shutdown didn't return ctx's error: it %s.

		The error tells Shutdown's caller that a client didn't get its answer.`, stopping)
	require.True(t, stubborn.Closed(), `
		ctx was done and Shutdown returned, but the client's connection was still open.`)
	require.True(t, serving.Returned(), `
		Shutdown returned, but Serve didn't.`)
	require.Truef(t, t.Until(func() bool { return t.Goroutines() == 0 }), `
		Shutdown and Serve returned, and all connections were closed, but a goroutine was left: %s.

		That's a goroutine leak: each one must end with its client.`, lesson.ReasonToWait())
	require.Zerof(t, server.Clients(), `
		Shutdown closed the last connection, but Clients returned %d.`, server.Clients())
}

func shutdownIsCanceled(t *wire.T) {
	server := &echo.Server{}
	_, stubborn := serveInWrite(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	stopping := t.Call(func() error { return server.Shutdown(ctx) })
	t.Wait()

	cancel()
	t.Wait()

	require.True(t, stopping.Returned(), `
		ctx was canceled, but Shutdown didn't return.

		A context can end without a deadline. Wait for ctx.Done.`)
	require.ErrorIsf(t, stopping.Err(), context.Canceled, `
		ctx was canceled, but Shutdown didn't return ctx's error: it %s.`, stopping)
	require.True(t, stubborn.IsClosed(), `
		ctx was canceled and Shutdown returned, but the client's connection was still open.

		Shutdown closes the rest: Close ends a Read and a Write at once. After a deadline, the
		server would still read on for half a second.`)
}

func shutdownWithoutTime(t *wire.T) {
	server := &echo.Server{}
	serving, stubborn := serveInWrite(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	stopping := t.Call(func() error { return server.Shutdown(ctx) })

	require.True(t, stopping.Returned(), `
		Shutdown didn't return.

		ctx was done, so there's no time to wait for the client.`)
	require.ErrorIsf(t, stopping.Err(), context.Canceled, `
		Shutdown didn't return ctx's error: it %s.`, stopping)
	require.True(t, stubborn.IsClosed(), `
		Shutdown returned, but the client's connection was still open.

		A ctx that's done takes only the waiting away. Shutdown still stops the server and closes
		all connections.`)
	require.True(t, serving.Returned(), `
		Shutdown returned, but Serve didn't.`)
}

func shutdownClosesTheRest(t *wire.T) {
	server := &echo.Server{}
	ln, _ := t.Serve(server)
	idle, one, two := ln.Dial(), ln.Dial(), ln.Dial()
	for _, client := range []*wire.Peer{one, two} {
		client.Hold(0)
		client.Send("hello")
		t.Wait() // the server waits in Write
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()

	t.Call(func() error { return server.Shutdown(ctx) })
	time.Sleep(300 * time.Millisecond)
	t.Wait()

	require.True(t, one.IsClosed() && two.IsClosed(), `
		Two clients didn't read their answers. 100 ms after ctx was done, the connection of at least
		one of them was still open.

		Close all connections, then return.`)
	require.True(t, idle.IsClosed(), `
		100 ms after ctx was done, a connection that the server had half-closed was still open.

		Shutdown closes every connection that's still open. So forget a client only when its
		connection is closed.`)
}

func Test10_ShutsDownAtAnyMoment(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#10-shut-down-at-any-moment", "server.go")
	wire.Test(e, "Shutdown before Serve", shutdownBeforeServe)
	wire.Test(e, "two Shutdowns at once", twoShutdownsAtOnce)
	wire.Test(e, "a second Shutdown that has less time", secondShutdownHasLessTime)
	wire.Test(e, "Shutdown, while Serve accepts its only client", shutdownDuringTheOnlyAccept)
	for range 3 { // on a busy machine, a goroutine may run too early for it
		wire.Test(e, "Shutdown, while Serve accepts the second client", shutdownDuringAccept)
	}
	wire.Test(e, "Shutdown, while process sets a deadline", shutdownDuringADeadline)
	wire.Test(e, "Shutdown, while process ends a Write", shutdownDuringAWrite)
	wire.Test(e, "Shutdown, while every slot is taken", shutdownWithoutAFreeSlot)
	wire.Test(e, "Shutdown, in the pause after a failed Accept", shutdownDuringAPause)
	wire.Test(e, "Shutdown, while ten clients connect", shutdownWhileTenConnect)
	e.AgainUnderRace()
}

func shutdownBeforeServe(t *wire.T) {
	server := &echo.Server{}
	stopping := t.Call(func() error { return server.Shutdown(context.Background()) })
	require.Truef(t, stopping.Returned() && stopping.Err() == nil, `
		Shutdown didn't return nil at once, though there was no client to wait for: it %s.`,
		stopping)

	ln, serving := t.Serve(server)

	require.True(t, serving.Returned(), `
		A later Serve didn't return.

		A program that's stopped while it starts calls the two in this order, and would wait
		forever.`)
	require.ErrorIsf(t, serving.Err(), echo.ErrServerClosed, `
		A later Serve didn't return ErrServerClosed: it %s.`, serving)
	require.True(t, ln.Closed(), `
		A later Serve returned and left its listener open.

		Clients can connect, but the server never accepts them.`)
}

func twoShutdownsAtOnce(t *wire.T) {
	server := &echo.Server{}
	_, busy := serveInWrite(t, server)

	shutdown := func() error { return server.Shutdown(context.Background()) }
	one, two := t.Call(shutdown), t.Call(shutdown)

	require.False(t, one.Returned() || two.Returned(), `
		One of them returned before the client had its answer.`)

	busy.Hold(wire.NoLimit)
	time.Sleep(time.Second) // the client leaves
	three := t.Call(shutdown)

	for i, call := range []*wire.Task{one, two, three} {
		require.Truef(t, call.Returned() && call.Err() == nil, `
			Two calls came at once and a third one a second after the client had its answer. Call
			%d didn't return nil: it %s.

			Each call must learn that the last client has left, and return nil.`, i+1, call)
	}
}

func secondShutdownHasLessTime(t *wire.T) {
	server := &echo.Server{}
	serveInWrite(t, server)
	first := t.Call(func() error { return server.Shutdown(context.Background()) })
	t.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	second := t.Call(func() error { return server.Shutdown(ctx) })
	time.Sleep(time.Minute + time.Second)

	require.Truef(t, second.Returned() && errors.Is(second.Err(), context.DeadlineExceeded), `
		The first Shutdown had no time limit, and the second one a minute. A minute later the second
		one hadn't returned its ctx's error: it %s.

		Each call obeys its own ctx, so each needs a select with ctx.Done.`, second)
	require.Truef(t, first.Returned() && first.Err() == nil, `
		The second Shutdown closed the last connection, but the first one didn't return nil: it
		%s.`, first)
}

func shutdownDuringTheOnlyAccept(t *wire.T) {
	server := &echo.Server{}
	ln := t.Listen()
	ln.OnAccept(func() {
		t.Call(func() error { return server.Shutdown(context.Background()) })
		time.Sleep(10 * time.Millisecond) // there's no client, so Shutdown returns
	})
	client := ln.Dial()
	t.Call(func() error { return server.Serve(ln) })

	require.True(t, client.Ended(), `
		Shutdown was called, then Accept returned the client, and it stayed connected.

		Shutdown doesn't know that client. After Accept, look whether Shutdown has begun, and close
		the connection if so.`)
	require.Zerof(t, server.Clients(), `
		Shutdown was called, then Accept returned the client, and Clients returned %d.

		The client came too late: close its connection and don't count it.`, server.Clients())
}

// On one CPU, the first client's goroutine hasn't run its first line when Serve
// calls Accept again. So if that goroutine counts its client, the client is
// missing, unless the machine is busy and Serve was stopped in between.
func shutdownDuringAccept(t *wire.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	server := &echo.Server{IdleTimeout: time.Hour}
	ln := t.Listen()
	first, second := ln.Dial(), ln.Dial()
	var stopping *wire.Task
	var left *leftovers
	accepted := 0
	ln.OnAccept(func() {
		if accepted++; accepted == 2 {
			stopping, left = shutDown(t, server, first)
			time.Sleep(10 * time.Millisecond) // Shutdown does what it can, then Accept returns
		}
	})
	t.Call(func() error { return server.Serve(ln) })
	time.Sleep(time.Second)
	t.Wait()

	require.Equalf(t, 2, accepted, `
		Two clients connected, and the server accepted %d of them.`, accepted)
	require.True(t, second.Ended(), `
		The second client was still connected a second later.

		After Accept, look whether Shutdown has begun: it doesn't know that client yet. Look again
		after each deadline, which may have replaced Shutdown's.`)
	require.True(t, first.Ended(), `
		Client 1 was still connected a second later. Serve had just accepted it.`)
	require.True(t, first.Closed(), `
		The server half-closed the first client's connection and didn't close it within a second.`)
	require.True(t, stopping.Returned(), `
		Both clients were disconnected, but Shutdown didn't return.`)
	require.False(t, left.open, `
		Serve had just accepted the first client. Shutdown returned while its connection was open.

		If a goroutine counts its client itself, Shutdown doesn't wait for one that hasn't run its
		first line yet. Count the client before the go statement.`)
	require.Zerof(t, left.clients, `
		Both clients were disconnected. When Shutdown returned, Clients returned %d.`, left.clients)
}

func shutdownDuringADeadline(t *wire.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so Shutdown runs when the hook yields
	server := &echo.Server{IdleTimeout: time.Hour}
	ln, _ := t.Serve(server)
	client := ln.Dial()
	t.Wait()
	ctx := wire.NewContext()
	shutdown := sync.OnceFunc(func() { t.Call(func() error { return server.Shutdown(ctx) }) })
	client.OnReadDeadline(func() {
		shutdown()
		ctx.WaitUntilWatched() // then process sets its deadline
	})

	client.Send("hello")
	client.Receive()
	shutdown() // if process set no deadline

	require.True(t, client.Ended(), `
		A second after Shutdown the client was still connected.

		If process's deadline replaced Shutdown's, nothing ends Read. Set the deadline first, then
		look whether Shutdown has begun.`)
	client.Close()
}

func shutdownDuringAWrite(t *wire.T) {
	clients := t.ShutDownDuringWrites(&echo.Server{IdleTimeout: time.Hour}, "hello")

	for _, client := range clients {
		client.Receive()
		require.True(t, client.Ended(), `
			Shutdown came while a client was being answered. A second later that client was still
			connected.

			If Shutdown sets a deadline before it marks the server as stopping, process can replace
			it and read on. Mark the server first, then set the deadlines.`)
		client.Close()
	}
}

func shutdownWithoutAFreeSlot(t *wire.T) {
	server := &echo.Server{MaxClients: 1}
	ln, serving := t.Serve(server)
	inside := ln.Dial()
	inside.Hold(0)
	inside.Send("hello")
	t.Wait()

	t.Call(func() error { return server.Shutdown(context.Background()) })

	require.True(t, serving.Returned(), `
		Serve didn't return.

		While Serve waits for a slot, it must wait for Shutdown at the same time.`)

	inside.Hold(wire.NoLimit)
	answer := inside.Receive()
	require.Truef(t, strings.HasPrefix(answer, "hello"), `
		The only client sent "hello", and then Shutdown began. The client got %s.

		Shutdown cuts no answer that the server has begun.`, wire.Show(answer))
	inside.Close()
}

func shutdownDuringAPause(t *wire.T) {
	server := &echo.Server{}
	ln, serving := t.Serve(server)
	ln.Fail(slices.Repeat([]error{syscall.EMFILE}, 10)...)
	time.Sleep(800 * time.Millisecond) // Serve is in its eighth pause, the one of 640 ms

	stopping := t.Call(func() error { return server.Shutdown(context.Background()) })

	require.Truef(t, stopping.Returned() && stopping.Err() == nil, `
		Shutdown didn't return nil at once, though there was no client to wait for: it %s.`,
		stopping)
	require.Truef(t, serving.Returned() && errors.Is(serving.Err(), echo.ErrServerClosed), `
		Serve didn't return ErrServerClosed: it %s.`, serving)
}

func shutdownWhileTenConnect(t *wire.T) {
	server := &echo.Server{}
	ln, serving := t.Serve(server)
	var clients []*wire.Peer
	for i := range 10 {
		if i == 5 {
			t.Wait() // the server serves five clients when five more connect
		}
		client := ln.Dial()
		client.Send("hello")
		clients = append(clients, client)
	}

	stopping := t.Call(func() error { return server.Shutdown(context.Background()) })

	for i, client := range clients {
		answer := client.Receive()
		require.Containsf(t, []string{"", "hello"}, answer, `
			Client %d sent "hello" and got %s.

			A client gets its whole answer or none.`, i+1, wire.Show(answer))
		require.Truef(t, client.Ended(), `
			Client %d was still connected a second later.`, i+1)
	}
	require.Truef(t, stopping.Returned() && stopping.Err() == nil && serving.Returned(), `
		All clients had left. Shutdown %s. Serve %s.`, stopping, serving)
}

func Test11_RunsAsAProgram(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#11-run-as-a-program", "cmd/server/main.go")
	program.Test(e, "the port is taken", portIsTaken)
	program.Test(e, "the server without -addr", serverWithoutAddr)
	for _, addr := range []string{"[::1]:20000", "127.0.0.2:20000"} {
		program.Test(e, "the server with -addr "+addr, func(t *program.T) {
			serverWithAddr(t, addr)
		})
	}
	program.Test(e, "the server with -quiet", quietServer)
	program.Test(e, "Ctrl-C, while a client is idle", interruptWithAnIdleClient)
	program.Test(e, "Ctrl-C, while a client is being answered", interruptWithABusyClient)
}

func portIsTaken(t *program.T) {
	taken := t.ListenAnywhere()

	server := t.Build("./cmd/server").Start("-addr", taken.Addr())

	require.True(t, server.Ended(), `
		The program was started with -addr and a port that's taken, and a second later it was
		still running.

		Either it doesn't listen where -addr says, or it doesn't exit when it can't listen.`)
	require.Equalf(t, 1, server.ExitStatus(), `
		The program couldn't listen: it %s.

		A script looks at the exit status, and every status but 0 says that the program failed.
		The exercise asks for 1, the usual value.`, server)
	require.NotEmpty(t, server.Stderr(), `
		The program printed nothing to its standard error.

		That's where a program says what's wrong with it.`)
}

func serverWithoutAddr(t *program.T) {
	server := t.Build("./cmd/server").Start()
	require.Falsef(t, !server.StaysUp() && server.ExitStatus() == 0, `
		The program was started, and a moment later it was gone: it %s.

		When main returns, the program ends with all its goroutines. If main has called Serve in
		a goroutine, it must wait for it.`, server)
	client := server.Dial()

	client.Send("show me this")
	answer := client.Receive(12)

	require.Equalf(t, "show me this", answer, `
		A client sent "show me this" and got %s. The server %s.`, wire.Show(answer), server)
	require.True(t, server.Prints("show me this"), `
		A client sent "show me this", but the program didn't show it.

		A log hides the debug level unless you set its level.`)
	for _, other := range []string{"127.0.0.2:20000", "[::1]:20000"} {
		require.Falsef(t, program.Reaches(other), `
			A client could connect to %s as well.

			Without a host, net.Listen listens on every address, so other machines can connect.
			Listen on 127.0.0.1 only.`, other)
	}
}

func serverWithAddr(t *program.T, addr string) {
	host, _, _ := net.SplitHostPort(addr)
	if !program.HasAddress(host) {
		return
	}
	server := t.Build("./cmd/server").Start("-addr", addr)

	for tries := 0; tries < 40 && !program.Reaches(addr); tries++ {
		require.Truef(t, server.StaysUp(), `
			The program didn't stay up: it %s.`, server)
	}

	require.Truef(t, program.Reaches(addr), `
		A client couldn't connect to %s.

		-addr is an address for net.Listen("tcp", …), as it is.`, addr)
}

func quietServer(t *program.T) {
	server := t.Build("./cmd/server").Start("-quiet")
	client := server.Dial()

	client.Send("not for all to see")
	answer := client.Receive(18)
	rests := server.ComesToRest() // it has printed everything

	require.Equalf(t, "not for all to see", answer, `
		A client sent "not for all to see" and got %s.`, wire.Show(answer))
	require.NotContains(t, server.Output(), "not for all to see", `
		A client sent "not for all to see", and the program showed it.`)
	require.Truef(t, rests, `
		The client had its answer and sent nothing more, but the server kept a CPU busy. It %s.

		With nothing to do, every goroutine must wait. A select with a default never waits, so a
		loop around it is a busy loop.`, server)
}

func interruptWithAnIdleClient(t *program.T) {
	server := t.Build("./cmd/server").Start("-quiet")
	client := server.Dial()
	client.Send("hello")
	client.Receive(5)
	server.StaysUp() // until it's idle: it waits in Read

	if !server.Interrupt() {
		t.Skip("Passed so far. This system can't send Ctrl-C to another program: try it by hand.")
	}

	rest, ended := client.Rest()
	require.Truef(t, ended, `
		A second later the client was still connected, and had got %s. The server %s.`,
		wire.Show(rest), server)
	require.Emptyf(t, rest, `
		Before the end of its connection, the client got %s.`, wire.Show(rest))
	client.Close()
	require.True(t, server.Ended(), `
		The only client had left, and a second later the program was still running.`)
	failed := server.ExitStatus() != 0
	require.Falsef(t, failed && strings.Contains(server.Stderr(), "context canceled"), `
		The only client had left. The server %s. It printed "context canceled".

		If that's Shutdown's error, its context was done from the start. The signal's own context
		is done at Ctrl-C: give Shutdown a new one, with a timeout.`, server)
	require.Equalf(t, 0, server.ExitStatus(), `
		The only client had left. The server %s.

		After a graceful shutdown a program exits with status 0. A signal that main doesn't catch
		ends the program at once, without Shutdown.`, server)
}

// A server that lingers resets the connection as well if the machine is so busy
// that the client hasn't read everything half a second later, and one with a
// write timeout if the client begins to read too late. So a late reset says
// nothing.
func interruptWithABusyClient(t *program.T) {
	server, client, late := interruptDuringAFlood(t)
	busy := late && program.IsMachineBusy()
	for tries := 1; tries < 3 && late; tries++ {
		server.Stop()
		server, client, late = interruptDuringAFlood(t)
		busy = busy || late && program.IsMachineBusy()
	}
	if late && busy && client.WasReset() {
		t.SkipForNow(`
			Everything took so long that the server's own timeout may have ended the connection.

			Other programs keep this machine busy. Run the tests again when they're done.`)
	}

	require.Falsef(t, client.WasReset(), `
		The client's connection was reset, so it lost an answer. The server %s.

		A graceful shutdown cuts no answer. Serve returns when Shutdown begins, so main must wait
		until Shutdown has returned. Give Shutdown a context of its own, with 10 seconds.`, server)
}

// interruptDuringAFlood interrupts a server that waits in Write. It reports
// whether the machine was too busy: a timeout of the server's may have passed
// before the client read.
func interruptDuringAFlood(t *program.T) (_ *program.Program, _ *program.Peer, late bool) {
	t.Helper()
	server := t.Build("./cmd/server").Start("-quiet")
	client := server.Dial()
	flooded := time.Now()
	client.Flood() // until the server waits in Write
	require.Truef(t, server.StaysUp(), `
		Before Ctrl-C, a client sent and sent and didn't read. The server %s.

		A client that doesn't read must not end the server: only its own connection waits.`, server)

	server.Interrupt()
	interrupted := time.Now()
	server.StaysUp()     // unless it exits at once,
	server.ComesToRest() // which takes longer on a busy machine
	_, ended := client.Rest()
	late = time.Since(interrupted) > 400*time.Millisecond || time.Since(flooded) > 4*time.Second
	require.Truef(t, ended, `
		After Ctrl-C the client read all its answers, and a second later its connection was still
		open. The server %s.

		Shutdown disconnects a busy client as soon as its answers are sent.`, server)
	return server, client, late
}

func Test12_HandlesAThousandClients(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#12-handle-a-thousand-clients", "server.go")
	program.Test(e, "a thousand clients over TCP", thousandClients)
	program.Test(e, "a client over TCP that reads only at the end", func(t *program.T) {
		for range 3 { // by chance, the kernel may have sent everything before Close
			answersReadAtTheEnd(t)
		}
	})
	e.AgainUnderRace()
}

func thousandClients(t *program.T) {
	many := min(1000, (freeDescriptors(2100)-100)/2)
	if many < 300 {
		t.SkipForNow(`
			This process may open too few files for the exercise: it needs 700.

			On Linux and macOS, "ulimit -n" shows the limit, and "ulimit -n 4096" raises it.`)
	}
	if lesson.RaceDetector {
		many = 200 // it sees a data race among them as well, and each takes it longer
	}
	ln := countConns(t)
	server := &echo.Server{Log: slog.New(slog.DiscardHandler)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	comeAndGo(t, dial(t, ln))
	var clients []*client
	for range many {
		clients = append(clients, dial(t, ln))
	}

	err := each(clients, (*client).talk)
	require.NoErrorf(t, err, "%d clients were connected. One of them: %v.", many, err)
	known := settle(clientsOf(server), many)
	require.Equalf(t, many, known, `
		%d clients were connected and had their answers. Clients returned %d.`, many, known)

	err = each(clients, (*client).leave)
	require.NoErrorf(t, err, "%d clients half-closed. One of them: %v.", many, err)
	known, open := settle(clientsOf(server), 0), settle(ln.Open, 0)
	require.Truef(t, known == 0 && open == 0, `
		%d clients came and left. Clients returned %d, and %d connections were still open.`,
		many, known, open)
	kept := settle(ln.Kept, 0)
	require.LessOrEqualf(t, kept, many/10, `
		%d clients had come and left, and the server still held %d of their connections in memory.

		A server that runs for years must forget each client that has left. Look at what grows with
		each client: a slice or a map that nothing is deleted from, a context.AfterFunc that
		nothing stops, a goroutine that never ends.`, many+1, kept)

	shutDownAtOnce(t, server, served)
}

// comeAndGo has the only client of a server talk and leave.
func comeAndGo(t *program.T, only *client) {
	err := only.talk(patience)
	require.NoErrorf(t, err, "One client connected: %v.", err)
	err = only.leave(patience)
	require.NoErrorf(t, err, "One client connected and half-closed: %v.", err)
}

// shutDownAtOnce shuts down a server that has no client any more.
func shutDownAtOnce(t *program.T, server *echo.Server, served <-chan error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	inTime(func() { err = server.Shutdown(ctx) }, `
		All clients had left, but Shutdown didn't return.

		If the last client left before Shutdown, none leaves after it, and nothing ends the wait.
		Look for that case first.`)
	require.NoErrorf(t, err, "All clients had left, but Shutdown returned the error %q.", err)
	select {
	case err = <-served:
	case <-time.After(patience):
		t.Fatalf("Shutdown returned, but Serve didn't.")
	}
	require.Errorf(t, err, "Shutdown returned. Then Serve returned nil instead of ErrServerClosed.")
	require.ErrorIsf(t, err, echo.ErrServerClosed, `
		Shutdown returned. Then Serve returned the error %q instead of ErrServerClosed.`, err)
}

// Here the server gets *net.TCPConns: with a wrapper, it couldn't find their
// other methods, such as SetLinger.
func answersReadAtTheEnd(t *program.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	sent := make(chan struct{})
	// Until everything is sent, the server answers nothing: a full buffer at
	// the client drops answers, and with them what they acknowledge.
	server := &echo.Server{Log: wire.OnMessage("message", func() { <-sent })}
	served := make(chan error, 1)
	go func() { served <- server.Serve(largeBuffers{ln}) }()
	client := dial(t, ln)
	client.SetReadBuffer(4 << 10) // so most answers stay at the server
	client.SetWriteBuffer(1 << 20)
	client.SetWriteDeadline(time.Now().Add(3 * patience))
	settle(clientsOf(server), 1)

	io.WriteString(client, strings.Repeat("message ", 32<<10))
	client.CloseWrite()
	close(sent)
	settle(clientsOf(server), 0) // unless the server waits in Write
	client.SetReadBuffer(1 << 20)
	answers, err := client.readToTheEnd()

	require.NoErrorf(t, err, `
		A client sent 256 KiB and half-closed, and only then it read. It got %d bytes, then the
		error %q instead of the end of its connection.

		Write returns when the kernel has the bytes, not when the client has them. Close leaves
		the rest to the kernel, which sends it in the background, unless SetLinger(0) was called:
		then Close discards the rest and resets the connection.`, answers, err)
	shutDownAtOnce(t, server, served)
}

// readToTheEnd reads until the connection ends, or until nothing comes for a
// while. It returns how many bytes came. After a full buffer, the kernel may
// take seconds.
func (c *client) readToTheEnd() (n int, err error) {
	buf := make([]byte, 4096)
	for {
		c.SetReadDeadline(time.Now().Add(3 * patience))
		m, err := c.Read(buf)
		n += m
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// A largeBuffers is a listener whose connections keep a MiB that isn't read yet
// and one that isn't sent yet, or as much as the system allows.
type largeBuffers struct{ net.Listener }

func (ln largeBuffers) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetReadBuffer(1 << 20)
		tcp.SetWriteBuffer(1 << 20)
	}
	return conn, err
}

// clientsOf returns the server's Clients. A call that doesn't return fails the
// exercise.
func clientsOf(server *echo.Server) func() int {
	return func() (n int) {
		inTime(func() { n = server.Clients() }, `
			Clients didn't return.

			If it waits for a lock: each Lock needs an Unlock on every way out of its function.`)
		return n
	}
}

// inTime calls f and waits until it has returned. If it doesn't, inTime fails
// the exercise with the message.
func inTime(f func(), message string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	lesson.MustEnd(done, func() string { return message })
}

// patience is how long a test waits for a server over real TCP in which nothing
// moves.
const patience = 3 * time.Second

// A countingListener knows how many of its connections are open, and how many
// are still in memory.
type countingListener struct {
	net.Listener
	open atomic.Int64
	kept atomic.Int64
}

// countConns returns a listener for the scenario.
func countConns(t *program.T) *countingListener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return &countingListener{Listener: ln}
}

// Open returns how many connections are open.
func (ln *countingListener) Open() int { return int(ln.open.Load()) }

// Kept returns how many connections are in memory after a garbage collection.
func (ln *countingListener) Kept() int {
	runtime.GC()
	return int(ln.kept.Load())
}

func (ln *countingListener) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	ln.open.Add(1)
	ln.kept.Add(1)
	counted := &countedConn{TCPConn: conn.(*net.TCPConn), ln: ln}
	runtime.AddCleanup(counted, func(ln *countingListener) { ln.kept.Add(-1) }, ln)
	return counted, nil
}

type countedConn struct {
	*net.TCPConn
	ln   *countingListener
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.ln.open.Add(-1) })
	return c.TCPConn.Close()
}

// A client is one of a thousand.
type client struct{ *net.TCPConn }

func dial(t *program.T, ln net.Listener) *client {
	conn, err := net.Dial("tcp", ln.Addr().String())
	require.NoErrorf(t, err, "A client couldn't connect: %v.", err)
	t.Cleanup(func() { conn.Close() })
	return &client{conn.(*net.TCPConn)}
}

// each does the same for all clients at once and returns the first error.
func each(clients []*client, do func(c *client, limit time.Duration) error) error {
	errs := make(chan error, len(clients))
	for _, c := range clients {
		go func() { errs <- do(c, 3*patience) }()
	}
	for range clients {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// talk sends ten messages and says what's wrong with an answer.
func (c *client) talk(limit time.Duration) error {
	for i := range 10 {
		c.SetDeadline(time.Now().Add(limit))
		message := fmt.Sprintf("message %d of %v", i+1, c.LocalAddr())
		if _, err := io.WriteString(c, message); err != nil {
			return fmt.Errorf("it couldn't send: %w", err)
		}
		answer := make([]byte, len(message))
		n, err := io.ReadFull(c, answer)
		if err != nil {
			return fmt.Errorf("it sent %q, got %s, and then the error %q",
				message, wire.Show(string(answer[:n])), err)
		}
		if string(answer) != message {
			return fmt.Errorf("it sent %q and got %s", message, wire.Show(string(answer)))
		}
	}
	return nil
}

// leave half-closes and says what came instead of the end of the connection.
func (c *client) leave(limit time.Duration) error {
	c.SetDeadline(time.Now().Add(limit))
	c.CloseWrite()
	rest, err := io.ReadAll(c)
	switch {
	case len(rest) == 0 && errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the server didn't end its connection within %v", limit)
	case err != nil:
		return fmt.Errorf("instead of the end of its connection it got %s, then the error %q",
			wire.Show(string(rest)), err)
	case len(rest) > 0:
		return fmt.Errorf("before the end of its connection it got %s", wire.Show(string(rest)))
	}
	return nil
}

// settle waits until count returns want, as long as its result changes, and
// returns the last one.
func settle(count func() int, want int) int {
	last, since := count(), time.Now()
	for last != want && time.Since(since) < patience {
		time.Sleep(time.Millisecond)
		if now := count(); now != last {
			last, since = now, time.Now()
		}
	}
	return last
}

// freeDescriptors returns how many files this process may still open, or
// enough.
func freeDescriptors(enough int) (n int) {
	for range enough {
		file, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		defer file.Close()
		n++
	}
	return n
}
