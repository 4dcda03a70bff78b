package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
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
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// serve has s serve a new listener, as a program's main would.
func serve(t *wire.T, s *Server) (ln *wire.Listener, serving *wire.Task) {
	ln = t.Listen()
	return ln, t.Call(func() error { return s.Serve(ln) })
}

func Test01_ServesAnyListener(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#1-serve-any-listener")
	wire.Test(e, func(t *wire.T) {
		var log bytes.Buffer
		s := &Server{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		ln, serving := serve(t, s)

		for _, message := range []string{"I am one", "I am two"} { // and both stay
			client := ln.Dial()
			client.Send(message)
			answer := client.Receive()

			require.Zerof(t, ln.Waiting(), "a client has connected to the listener that Serve was given, and nobody has accepted it; as for Serve, %s", serving)
			require.NotEmptyf(t, answer, "a client of the listener that Serve was given has sent %q, and got no answer; as for Serve, %s", message, serving)
			require.Equalf(t, message, answer, "%q went in and %s came back: an echo is the same bytes", message, wire.Show(answer))
			require.Falsef(t, serving.Returned(), "a client is connected, and Serve has returned: whoever calls Serve takes that for the end of the server. It "+
				"goes on until Shutdown is called")

			require.Containsf(t, log.String(), message, "the client sent %q, and Log was told nothing of it", message)
			for line := range strings.Lines(log.String()) {
				require.Truef(t, !strings.Contains(line, message) || strings.Contains(line, "level=DEBUG"), "the client sent %q, and Log was told so at "+
					"another level than debug, where it cannot be left out: %s", message, line)
			}
		}
	})
}

func Test02_KeepsClientsApart(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#2-keep-clients-apart")
	wire.Test(e, func(t *wire.T) {
		ln, serving := serve(t, &Server{})
		const many = 100
		var clients []*wire.Peer
		for range many {
			client := ln.Dial()
			client.Hold(0) // it does not take its answer yet
			clients = append(clients, client)
		}
		for i, client := range clients {
			client.Send(fmt.Sprintf("I am client %03d", i+1))
		}

		require.Truef(t, t.Until(func() bool { return ln.Waiting() == 0 }), "%d clients are connected, and %d of them were accepted; as for Serve, %s. Without MaxClients there is no limit", many,
			many-ln.Waiting(), serving)
		for i, client := range slices.Backward(clients) { // whoever came last is the first one that takes its answer
			client.Hold(wire.NoLimit)
			own := fmt.Sprintf("I am client %03d", i+1)
			answer := client.Receive()

			require.NotEmptyf(t, answer, "%d clients have sent a message each and do not take their answers yet, but for client %d, which got none: nobody must wait for "+
				"somebody else's Write", many, i+1)
			require.Equalf(t, own, answer, "client %d sent %q and got %s: what belongs to another client. While one goroutine waits in Write, another one has "+
				"changed what it writes: a buffer or a variable that all clients share", i+1, own, wire.Show(answer))
		}
	})
	e.AgainUnderRace()
}

func Test03_CountsClients(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#3-count-clients")
	wire.Test(e, func(t *wire.T) {
		s := &Server{}
		s.Clients() // anybody may ask, before Serve
		ln, _ := serve(t, s)
		clients := []*wire.Peer{ln.Dial(), ln.Dial(), ln.Dial(), ln.Dial()}
		s.Clients() // and at any moment

		is := func(n int) bool { return t.Until(func() bool { return s.Clients() == n }) }
		require.Truef(t, is(4), "4 clients are being served, and Clients returns %d", s.Clients())
		clients[0].Close()
		clients[1].Reset()
		clients[2].CloseWrite()
		require.Truef(t, is(1), "4 clients came, one has closed its connection, one has reset it, one has promised to send no more, and Clients returns %d: "+
			"whoever has left is not being served", s.Clients())
		for range 3 {
			ln.Dial()
		}
		require.Truef(t, is(4), "of 4 clients 3 have left, and 3 more have come: Clients returns %d", s.Clients())
	})
	e.AgainUnderRace()
}

func Test04_BacksOffAfterAcceptErrors(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#4-back-off-after-accept-errors")
	wire.Test(e, func(t *wire.T) {
		ln := t.Listen()
		for range 10 {
			ln.Fail(syscall.EMFILE)
		}
		client := ln.Dial()
		client.Send("hello")
		serving := t.Call(func() error { return (&Server{}).Serve(ln) })

		time.Sleep(time.Minute)
		t.Wait()
		require.Falsef(t, serving.Returned(), "Accept has failed, with %q, and that was the end of the server; as for Serve, %s. This error passes: a descriptor is free "+
			"again as soon as one client leaves", syscall.EMFILE.Error(), serving)
		var pauses []time.Duration
		for i, call := range ln.Calls()[1:] {
			pauses = append(pauses, call.Sub(ln.Calls()[i]))
		}
		want := []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000}
		for i := range want {
			want[i] *= time.Millisecond
			require.Greaterf(t, len(pauses), i, "Accept has failed %d times, and was not called again within a minute", i+1)
			require.NotZero(t, pauses[i], "Accept has failed, and was called again at once: as long as no descriptor is free that goes round without end, and "+
				"keeps a processor busy")
			require.Equalf(t, want[i], pauses[i], "Accept has failed, and was called again after %v: this was failure number %d in a row, for which a pause of %v is asked for. "+
				"The pauses are 5 ms, 10 ms, 20 ms and so on, each twice the one before, up to 1 s", pauses[i], i+1, want[i])
		}
		require.Equal(t, []string{"hello"}, client.Arrived(), "Accept works again, and a client that had waited is not served")

		fails := time.Now()
		ln.Fail(errors.New("no buffer space is left"))
		next := ln.Dial()
		next.Send("hello")
		require.Equalf(t, "hello", next.Receive(), "Accept has failed with another error, %q, and works again, and a client that had waited is not served; as for Serve, %s. One error is "+
			"final, net.ErrClosed, and all others pass, whatever they say of themselves", "no buffer space is left", serving)
		calls := ln.Calls()
		pause := calls[len(calls)-2].Sub(fails)
		require.Equalf(t, 5*time.Millisecond, pause, "Accept has worked, and then failed once more: it was called again after %v. After a success the "+
			"pauses begin at 5 ms again", pause)

		ln.Close()
		require.Truef(t, serving.Returned(), "somebody has closed the listener, which is final, and Serve has not returned: Accept fails with net.ErrClosed, "+
			"now and for ever. (The error is wrapped: errors.Is finds it, and == does not)")
		require.ErrorIsf(t, serving.Err(), net.ErrClosed, "somebody has closed the listener, and Serve was not asked to stop. It returns the error of Accept, so that its caller learns that nobody "+
			"is served any more; but %s", serving)
	})
}

func Test05_LimitsTheNumberOfClients(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#5-limit-the-number-of-clients")
	wire.Test(e, func(t *wire.T) {
		ln, serving := serve(t, &Server{MaxClients: 2})
		var clients []*wire.Peer
		for range 4 {
			client := ln.Dial()
			client.Send("hello")
			clients = append(clients, client)
		}
		for i, client := range clients[:2] {
			answer := client.Receive()
			require.Equalf(t, "hello", answer, "MaxClients is 2, and client %d got %s for an answer; as for Serve, %s", i+1, wire.Show(answer), serving)
		}
		require.Equalf(t, 2, ln.Waiting(), "MaxClients is 2, and 4 have connected: %d were accepted. Whoever cannot be served yet is not accepted, so that "+
			"it waits in the kernel and costs the server nothing: a place first, then Accept; and it is taken before "+
			"the client's goroutine starts, which may take its time", 4-ln.Waiting())
	})
	wire.Test(e, func(t *wire.T) {
		ln, _ := serve(t, &Server{MaxClients: 1})
		leaver := ln.Dial()
		for _, way := range []struct {
			words string
			leave func(client *wire.Peer)
		}{
			{"closed its connection", (*wire.Peer).Close},
			{"promised to send no more", (*wire.Peer).CloseWrite},
			{"reset its connection", (*wire.Peer).Reset},
			{"sent something and reset its connection, so that Write fails", func(client *wire.Peer) {
				client.Hold(0)
				client.Send("hello")
				t.Wait()
				client.Reset()
			}},
			{"left, and then Accept has failed", func(client *wire.Peer) {
				ln.Fail(syscall.EMFILE, syscall.EMFILE, syscall.EMFILE)
				client.Close()
			}},
		} {
			leaver.Send("hello")
			leaver.Receive() // so it has its place
			next := ln.Dial()

			way.leave(leaver)
			next.Send("hello")
			answer := next.Receive()

			require.Equalf(t, "hello", answer, "MaxClients is 1, the only client has %s, and the next one is still not served: a place that is taken must be "+
				"given back, whatever happens", way.words)
			leaver = next
		}
	})
}

func Test06_DisconnectsSilentClients(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#6-disconnect-silent-clients")
	wire.Test(e, func(t *wire.T) {
		s := &Server{IdleTimeout: time.Minute, MaxClients: 2}
		ln, _ := serve(t, s)
		silent, talker := ln.Dial(), ln.Dial()
		begin := time.Now()
		for i := range 7 {
			talker.Send("still here")
			answer := talker.Receive()
			require.Equalf(t, "still here", answer, "IdleTimeout is a minute, and a client that sends something every 25 s got %s after %v: it is not idle. A deadline is "+
				"a moment, not a duration, and has to be moved forward for each Read", wire.Show(answer), time.Since(begin).Round(time.Second))
			if i == 2 { // after 50 s
				require.False(t, silent.Ended(), "IdleTimeout is a minute, and a client that has sent nothing was let go before that")
			}
			time.Sleep(25 * time.Second)
		}
		require.True(t, silent.Closed(), "IdleTimeout is a minute, and a client that has never sent anything is still connected after three: either Read "+
			"waits for ever, because the connection has no deadline, or it has failed, and the connection was not closed, or the server has ended its half (\"writes no more\") and "+
			"waits, without a deadline, for the client to end the other one. The end of the picture shows which")
		time.Sleep(time.Minute)
		require.True(t, talker.Closed(), "IdleTimeout is a minute, and a client that has sent something before, and nothing for that long, is still connected")
		require.Zerof(t, s.Clients(), "both clients were let go, and Clients returns %d", s.Clients())
		next := ln.Dial()
		next.Send("hello")
		require.Equal(t, "hello", next.Receive(), "MaxClients is 2, two clients were let go because they were silent, and the next one is not served")
	})
	wire.Test(e, func(t *wire.T) {
		ln, _ := serve(t, &Server{})
		client := ln.Dial()
		time.Sleep(24 * time.Hour)
		client.Send("good morning")
		answer := client.Receive()
		require.Equalf(t, "good morning", answer, "IdleTimeout is 0, which means never, and a client that was silent for a day got %s for an answer", wire.Show(answer))
	})
}

func Test07_DisconnectsClientsThatNeverRead(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#7-disconnect-clients-that-never-read")
	wire.Test(e, func(t *wire.T) {
		s := &Server{WriteTimeout: time.Minute, MaxClients: 2}
		ln, _ := serve(t, s)
		greedy := ln.Dial()
		greedy.Hold(0) // it sends, and takes nothing
		greedy.Send("hello")
		t.Wait()

		slow := ln.Dial()
		begin := time.Now()
		for i := range 7 {
			slow.Hold(0)
			slow.Send("take your time")
			time.Sleep(25 * time.Second)
			slow.Hold(wire.NoLimit)
			answer := slow.Receive()
			require.Falsef(t, answer == "" && slow.Ended(), "WriteTimeout is a minute, and a client that takes each answer after 25 s was let go after %v: a deadline is a "+
				"moment, not a duration, and has to be set anew for each Write", time.Since(begin).Round(time.Second))
			require.NotEmptyf(t, answer, "one client takes nothing, and another one gets no answer after %v: either it waits for somebody else's Write, or the deadline of its own Write, which was set once, "+
				"has passed, and nobody has looked at the error", time.Since(begin).Round(time.Second))
			require.Equalf(t, "take your time", answer, "WriteTimeout is a minute, and a client that takes each answer after 25 s got %s", wire.Show(answer))
			if i == 1 { // after 50 s
				require.False(t, greedy.Closed(), "WriteTimeout is a minute, and a client that takes nothing was let go before that")
			}
		}
		require.True(t, greedy.Closed(), "WriteTimeout is a minute, and a client that has taken nothing for three is still connected: either Write waits for ever, because the "+
			"connection has no deadline for it, or it has failed, and nobody has looked at its error, or the server has ended its half (\"writes no more\") and waits, without a "+
			"deadline, for the client to end the other one. The end of the picture shows which")
		require.Truef(t, t.Until(func() bool { return s.Clients() == 1 }), "one of two clients was let go, and Clients returns %d", s.Clients())
		next := ln.Dial()
		next.Send("hello")
		require.Equal(t, "hello", next.Receive(), "MaxClients is 2, one of two clients was let go because it took nothing, and the next one is not served")

		time.Sleep(2 * time.Minute)
		next.Send("here I am again")
		answer := next.Receive()
		require.Equalf(t, "here I am again", answer, "WriteTimeout is a minute, and a client that takes its answers at once, and had nothing to ask for two, got %s: the "+
			"deadline of a Write is set when its message has come, not before", wire.Show(answer))
	})
	wire.Test(e, func(t *wire.T) {
		ln, _ := serve(t, &Server{IdleTimeout: time.Minute}) // for Read alone
		client := ln.Dial()
		client.Hold(0)
		client.Send("good morning")
		time.Sleep(24 * time.Hour)
		client.Hold(wire.NoLimit)
		answer := client.Receive()
		require.Equalf(t, "good morning", answer, "WriteTimeout is 0, which means never, IdleTimeout is a minute, and a client that took its answer after a day got %s: IdleTimeout is for a "+
			"client that sends nothing, and says nothing about how long it may take to read", wire.Show(answer))
	})
}

func Test08_ShutsDownGracefully(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#8-shut-down-gracefully")
	wire.Test(e, func(t *wire.T) {
		s := &Server{IdleTimeout: time.Hour}
		ln, serving := serve(t, s)
		fresh, idle, busy := ln.Dial(), ln.Dial(), ln.Dial()
		idle.Send("hello")
		require.Equal(t, "hello", idle.Receive(), "a client is connected, and not served")
		busy.Hold(0)
		busy.Send("my last question", ", and one more")
		t.Wait() // the server has read the first part, and waits in Write

		var open bool
		stopping := t.Call(func() error {
			err := s.Shutdown(context.Background())
			open = !idle.IsClosed() || !busy.IsClosed()
			return err
		})

		ended, atOnce := idle.Ended(), idle.IsClosed()
		require.True(t, ended && fresh.Ended(), "Shutdown was called, and a client that the server only waits for is still connected: a listener that is closed does not "+
			"touch the connections that it has accepted, and Read goes on waiting")
		require.True(t, ln.Closed(), "Shutdown was called, and the listener is still open: clients go on coming")
		require.Error(t, ErrServerClosed, "ErrServerClosed is nil: then nobody can tell it from success")
		require.Truef(t, serving.Returned() && errors.Is(serving.Err(), ErrServerClosed), "Shutdown was called, and Serve has not returned ErrServerClosed, by which its caller "+
			"knows that all is well: %s", serving)
		busy.Hold(0) // the picture is to show this client
		require.Falsef(t, stopping.Returned(), "Shutdown has returned while a message is being answered: %s. Whoever ends the program now cuts that answer", stopping)

		busy.Hold(wire.NoLimit)
		answer := busy.Receive()

		require.Truef(t, answer == "my last question" || answer == "my last question, and one more", "a message was being answered when Shutdown was called, and its sender got %s: "+
			"Shutdown is to wait for the answers that were begun", wire.Show(answer))
		require.True(t, busy.Ended(), "Shutdown was called, and a client that has got its last answer is still connected: the server waits for its next message")
		require.False(t, busy.WasReset(), "Shutdown was called, and the server has closed a connection on which there were bytes that it had not read: that is a reset, and a reset can destroy "+
			"the answer that is still on its way. CloseWrite says that no answer follows; then read, for a moment, what the client still sends, and close")
		require.False(t, atOnce, "Shutdown was called, and the server has closed the connection of a client that it only waited for at once: a message that this client sends just then is unread, so "+
			"its answer before, which may still be on its way, can be destroyed by a reset. No server knows what arrives next: each connection ends with CloseWrite, then reading for a moment, then Close")
		require.Truef(t, stopping.Returned() && stopping.Err() == nil, "the last client got its last answer two seconds ago, and Shutdown has not returned nil: %s. Either it does not learn that "+
			"all have left, or the server goes on reading for too long after CloseWrite", stopping)
		require.False(t, open, "Shutdown has returned nil, and at that moment the connection of a client was still open: whoever ends the program now resets it. A client has left "+
			"when its connection is closed: first hang up, then count down")
		require.Zerof(t, s.Clients(), "Shutdown has returned nil, and Clients returns %d", s.Clients())
	})
	wire.Test(e, func(t *wire.T) {
		s := &Server{IdleTimeout: time.Hour, WriteTimeout: time.Hour}
		ln, _ := serve(t, s)
		client := ln.Dial()
		client.Send("hello")
		client.Receive()
		t.Call(func() error { return s.Shutdown(context.Background()) })
		time.Sleep(200 * time.Millisecond)
		t.Wait()

		require.False(t, client.IsClosed(), "Shutdown was called, and 200 ms later the server has closed the connection of a client that has not hung up yet: what such a client still sends is answered with a "+
			"reset, and that can destroy its last answer. For half a second the server reads on")
		client.Close()
	})
	wire.Test(e, func(t *wire.T) {
		ctx := &watched{Context: context.Background()}
		s := &Server{IdleTimeout: time.Hour, WriteTimeout: time.Hour}
		shutdown := sync.OnceFunc(func() { t.Call(func() error { return s.Shutdown(ctx) }) })
		s.Log = slog.New(onMessage{slog.DiscardHandler, func() {
			shutdown()
			ctx.letStop()
		}})
		ln := t.Listen()
		t.Call(func() error { return s.Serve(ln) })
		client := ln.Dial()
		client.Send("just in time")

		answer := client.Receive()

		require.Equalf(t, "just in time", answer, "Shutdown was called when a message had been read, and the log was just being told of it, and its sender got %s: a message that the "+
			"server has read gets its answer", wire.Show(answer))
		client.Close()
	})
}

func Test09_ClosesTheRestWhenTheContextEnds(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#9-close-the-rest-when-the-context-ends")
	wire.Test(e, func(t *wire.T) {
		s := &Server{}
		ln, serving := serve(t, s)
		stubborn := ln.Dial()
		stubborn.Hold(0) // it never takes its answer
		stubborn.Send("hello")
		t.Wait()
		require.Equalf(t, 1, s.Clients(), "a client is connected, and Clients returns %d", s.Clients())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()

		stopping := t.Call(func() error { return s.Shutdown(ctx) })
		time.Sleep(55 * time.Second)

		require.Falsef(t, stopping.Returned(), "Shutdown has a minute, a client has not got its answer yet, and it has returned before that: %s", stopping)
		time.Sleep(4 * time.Second)
		require.True(t, stopping.Returned(), "ctx is done, and Shutdown has not returned: one client that does not take its answer holds up the end of the program")
		require.ErrorIsf(t, stopping.Err(), context.DeadlineExceeded, "ctx was done before the last client had left, and Shutdown has not returned ctx's error: %s", stopping)
		require.True(t, stubborn.Closed(), "ctx is done, Shutdown has returned, and the connection of the client that is left is still open")
		require.Truef(t, serving.Returned(), "Shutdown has returned, and Serve has not")
		require.Truef(t, t.Until(func() bool { return t.Goroutines() == 0 }), "Shutdown and Serve have returned, all connections are closed, and goroutines are left: %d", t.Goroutines())
		require.Zerof(t, s.Clients(), "nobody is served any more, and Clients returns %d", s.Clients())
	})
	e.AgainUnderRace()
}

func Test10_ShutsDownAtAnyMoment(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#10-shut-down-at-any-moment")
	wire.Test(e, func(t *wire.T) {
		s := &Server{}
		stopping := t.Call(func() error { return s.Shutdown(context.Background()) })
		require.True(t, stopping.Returned(), "Shutdown was called before Serve, and has not returned: nobody is served that it could wait for")

		ln, serving := serve(t, s)

		require.True(t, serving.Returned(), "Shutdown was called before Serve, and Serve serves: whoever stops a program while it is just starting waits for ever")
		require.ErrorIsf(t, serving.Err(), ErrServerClosed, "Shutdown was called before Serve, and Serve has not returned ErrServerClosed: %s", serving)
		require.True(t, ln.Closed(), "Shutdown was called before Serve, and the listener that Serve was given is still open: clients connect, and nobody is there")
	})

	wire.Test(e, func(t *wire.T) {
		s := &Server{}
		ln, _ := serve(t, s)
		busy := ln.Dial()
		busy.Hold(0)
		busy.Send("hello")
		t.Wait()

		one := t.Call(func() error { return s.Shutdown(context.Background()) })
		two := t.Call(func() error { return s.Shutdown(context.Background()) })

		require.False(t, one.Returned() || two.Returned(), "Shutdown was called by two goroutines at once, and one of the calls has returned while a message is being answered")
		busy.Hold(wire.NoLimit)
		time.Sleep(time.Second) // the last client leaves
		again := t.Call(func() error { return s.Shutdown(context.Background()) })
		for _, call := range []*wire.Task{one, two, again} {
			require.Truef(t, call.Returned() && call.Err() == nil, "Shutdown was called by two goroutines at once, and once more after the last client had got its answer and a second had passed, and one of the calls has "+
				"not returned nil: %s. Either it does not learn that all have left, or the server goes on reading for too long after CloseWrite", call)
		}
	})

	wire.Test(e, func(t *wire.T) {
		// With one processor, a goroutine that was just started has not run yet when the next thing happens.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		s := &Server{IdleTimeout: time.Hour}
		ln := t.Listen()
		before, client := ln.Dial(), ln.Dial()
		var stopping *wire.Task
		var left int
		accepted := 0
		ln.OnAccept(func() {
			if accepted++; accepted == 2 {
				stopping = t.Call(func() error {
					err := s.Shutdown(context.Background())
					left = s.Clients()
					return err
				})
				time.Sleep(10 * time.Millisecond) // Shutdown does what it can, and only then Accept returns the client
			}
		})
		t.Call(func() error { return s.Serve(ln) })

		require.True(t, client.Ended(), "Shutdown was called while a client was just being accepted, and that client is still connected: Shutdown did not know of it yet, and "+
			"Serve did not look again, or a deadline that was set later has replaced the one that ends its Read")
		require.True(t, before.Ended(), "Shutdown was called right after a client had been accepted, and that client is still connected")
		require.True(t, stopping.Returned(), "Shutdown was called while a client was just being accepted, and has not returned")
		require.Zerof(t, left, "Shutdown was called right after a client had been accepted, has returned, and at that moment Clients returned %d: Shutdown has not "+
			"waited for a goroutine that was started and had not come to its first line yet", left)
	})

	wire.Test(e, func(t *wire.T) {
		s := &Server{}
		ln := t.Listen()
		ln.OnAccept(func() {
			t.Call(func() error { return s.Shutdown(context.Background()) })
			time.Sleep(10 * time.Millisecond) // nobody is being served, so Shutdown returns
		})
		client := ln.Dial()
		t.Call(func() error { return s.Serve(ln) })

		require.True(t, client.Ended(), "Shutdown was called while the only client was just being accepted, has returned, and that client is connected: it came too late to be served")
		require.Zerof(t, s.Clients(), "Shutdown was called while the only client was just being accepted, and Clients returns %d now", s.Clients())
	})

	wire.Test(e, func(t *wire.T) {
		s := &Server{IdleTimeout: time.Hour}
		ln, _ := serve(t, s)
		client := ln.Dial()
		t.Wait()
		ctx := &watched{Context: context.Background()}
		shutdown := sync.OnceFunc(func() { t.Call(func() error { return s.Shutdown(ctx) }) })
		client.OnReadDeadline(func() {
			shutdown()
			ctx.letStop() // and only then the deadline is set
		})
		client.Send("hello")
		client.Receive()
		shutdown() // if no deadline was set

		require.True(t, client.Ended(), "Shutdown was called while the server was just setting the deadline of its next Read: that deadline has replaced the one by which Shutdown ends a Read, and the client "+
			"is still connected. Set the deadline first, and look then whether Shutdown has begun")
		client.Close() // so that Shutdown returns
	})

	wire.Test(e, func(t *wire.T) {
		s := &Server{MaxClients: 1}
		ln, serving := serve(t, s)
		inside := ln.Dial()
		inside.Hold(0)
		inside.Send("hello")
		t.Wait()

		t.Call(func() error { return s.Shutdown(context.Background()) })

		require.True(t, serving.Returned(), "Shutdown was called while all places were taken, and Serve has not returned: it waits for a place, and not for the end")
		inside.Close() // so that Shutdown returns
	})

	wire.Test(e, func(t *wire.T) {
		s := &Server{}
		ln, serving := serve(t, s)
		for range 10 {
			ln.Fail(syscall.EMFILE)
		}
		time.Sleep(800 * time.Millisecond) // the pause of 640 ms has begun, the eighth

		t.Call(func() error { return s.Shutdown(context.Background()) })

		require.Truef(t, serving.Returned() && errors.Is(serving.Err(), ErrServerClosed), "Shutdown was called in the pause after an Accept that failed, and a second later Serve has not "+
			"returned ErrServerClosed: %s", serving)
	})

	wire.Test(e, func(t *wire.T) {
		s := &Server{}
		ln, serving := serve(t, s)
		var clients []*wire.Peer
		for i := range 10 {
			if i == 5 {
				t.Wait() // five are being served when five more come
			}
			client := ln.Dial()
			client.Send("hello")
			clients = append(clients, client)
		}

		stopping := t.Call(func() error { return s.Shutdown(context.Background()) }) // while they come

		for i, client := range clients {
			client.Receive()
			require.Truef(t, client.Ended(), "Shutdown was called while 10 clients came, and client %d is still connected", i+1)
		}
		require.True(t, stopping.Returned() && serving.Returned(), "Shutdown was called while 10 clients came, all have left, and it, or Serve, has not returned")
	})
	e.AgainUnderRace()
}

func Test11_RunsAsAProgram(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#11-run-as-a-program")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(e, err)
	defer taken.Close()
	server := program.Start(e, "-addr", taken.Addr().String())
	require.True(e, server.Ended(), "the program was started with -addr and an address that is taken, and a second later it is still running: either it does not listen where "+
		"it was told to, or it does not end when it cannot")
	require.Equalf(e, 1, server.ExitStatus(), "the port is taken, and %s. A script, or whatever else has started the program, knows by a status other than 0 that it "+
		"has failed; asked for is 1, by convention", server)
	require.NotEmpty(e, server.Stderr(), "the port is taken, and the program has printed nothing to its standard error, which is where it says what is wrong with itself")
	server.Stop()

	server = program.Start(e, "-quiet")
	client := server.Dial()
	client.Send("not for all to see")
	answer := client.Receive(18)
	require.Equalf(e, "not for all to see", answer, "the program was started with -quiet, a client sent %q, and %s came back", "not for all to see", wire.Show(answer))
	server.Stop() // so that all that it has printed is here
	require.NotContains(e, server.Output(), "not for all to see", "the program was started with -quiet, and shows the messages all the same")

	server = program.Start(e)
	client = server.Dial()
	client.Send("show me this")
	client.Receive(12)
	require.Truef(e, server.Says() && strings.Contains(server.Output(), "show me this"), "the program was started without -quiet, a client sent %q, and the program does not show the message. "+
		"(slog.Default() does not show the debug level unless it is told to)", "show me this")
	if !server.Interrupt() {
		e.Skip("green so far; this system cannot send Ctrl-C to another program, so the end is for you to try")
	}
	rest, ended := client.Rest()
	require.Truef(e, ended && rest == "", "Ctrl-C was typed, and a second later an idle client has got %s instead of the end of its connection", wire.Show(rest))
	client.Close() // it hangs up, too
	require.True(e, server.Ended(), "Ctrl-C was typed, the only client has left, and a second later the program is still running")
	require.Equalf(e, 0, server.ExitStatus(), "Ctrl-C was typed, and as for the program, %s. Stopped gently, it ends with exit status 0", server)
	server.Stop()

	server = program.Start(e, "-quiet")
	busy := server.Dial()
	waits := busy.Flood() // in Write, if this is true
	server.Interrupt()
	require.True(e, !waits || server.StaysUp(), "Ctrl-C was typed while a client was getting its answer, and the program was gone before it had it all: Serve returns when Shutdown "+
		"begins, so main waits until Shutdown has returned, and Shutdown until the answer has been taken")
}

// A watched context knows when Shutdown has asked for its end: what it does to stop the server, it has most likely done by then.
type watched struct {
	context.Context
	asked atomic.Bool
}

func (w *watched) Done() <-chan struct{} {
	w.asked.Store(true)
	return w.Context.Done()
}

// letStop gives way to Shutdown, which was called with w. Whoever calls it may hold a lock, so it does not wait for ever.
func (w *watched) letStop() {
	for tries, more := 0, 1000; tries < 100_000 && more > 0; tries++ {
		runtime.Gosched()
		if w.asked.Load() {
			more--
		}
	}
}

// An onMessage is a log that does something when it is told of a message.
type onMessage struct {
	slog.Handler
	do func()
}

func (o onMessage) Enabled(context.Context, slog.Level) bool { return true }

func (o onMessage) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelDebug {
		o.do()
	}
	return nil
}

// A ledger is a listener that knows how many of its connections are open.
type ledger struct {
	net.Listener
	open atomic.Int64
}

func (l *ledger) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.open.Add(1)
	return &entry{TCPConn: conn.(*net.TCPConn), l: l}, nil
}

type entry struct {
	*net.TCPConn
	l    *ledger
	once sync.Once
}

func (e *entry) Close() error {
	e.once.Do(func() { e.l.open.Add(-1) })
	return e.TCPConn.Close()
}

func Test12_HandlesAThousandClients(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#12-handle-a-thousand-clients")
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(e, err)
	ln := &ledger{Listener: tcp}
	s := &Server{Log: slog.New(slog.DiscardHandler)}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	defer tcp.Close()

	dial := func() net.Conn {
		client, err := net.Dial("tcp", tcp.Addr().String())
		require.NoError(e, err)
		return client
	}
	first := dial()
	defer first.Close()
	err = talk(first, 0, time.Second)
	require.NoErrorf(e, err, "a client is connected, and not served: %v", err)
	err = leave(first, time.Second)
	require.NoErrorf(e, err, "one client is connected, and this happened to it: %v", err)

	const many = 1000
	var clients []net.Conn
	for range many {
		client := dial()
		defer client.Close()
		clients = append(clients, client)
	}
	each := func(do func(client net.Conn, i int) error) {
		results := make(chan error, many)
		for i, client := range clients {
			go func() { results <- do(client, i) }()
		}
		for range clients {
			err := <-results
			require.NoErrorf(e, err, "%d clients are connected at the same time, and this happened to one of them: %v", many, err)
		}
	}
	until := func(holds func() bool) bool {
		for begin := time.Now(); !holds() && time.Since(begin) < 3*time.Second; {
			time.Sleep(time.Millisecond)
		}
		return holds()
	}
	each(func(client net.Conn, i int) error {
		for range 10 {
			if err := talk(client, i, 5*time.Second); err != nil {
				return err
			}
		}
		return nil
	})
	require.Truef(e, until(func() bool { return s.Clients() == many }), "%d clients are connected at the same time, each was answered, and Clients returns %d", many, s.Clients())
	each(func(client net.Conn, i int) error { return leave(client, 5*time.Second) })
	require.Truef(e, until(func() bool { return s.Clients() == 0 && ln.open.Load() == 0 }), "%d clients came and left, Clients returns %d, and %d of their connections are still "+
		"open", many, s.Clients(), ln.open.Load())

	ctx, cancel := context.WithTimeout(e.Context(), 5*time.Second)
	defer cancel()
	require.NoError(e, s.Shutdown(ctx), "all clients have left, and Shutdown has not returned nil")
	select {
	case err = <-served:
	case <-time.After(3 * time.Second):
		err = errors.New("it has not returned")
	}
	require.ErrorIs(e, err, ErrServerClosed, "Shutdown has returned, and Serve has not returned ErrServerClosed")
	e.AgainUnderRace()
}

// talk sends a message of client number i, and says what is wrong with the answer.
func talk(client net.Conn, i int, patience time.Duration) error {
	client.SetDeadline(time.Now().Add(patience))
	message := fmt.Sprintf("I am client %04d", i+1)
	if _, err := io.WriteString(client, message); err != nil {
		return fmt.Errorf("it could not send: %w", err)
	}
	answer := make([]byte, len(message))
	n, err := io.ReadFull(client, answer)
	if err != nil {
		return fmt.Errorf("it sent %q, got %s, and then: %w", message, wire.Show(string(answer[:n])), err)
	}
	if string(answer) != message {
		return fmt.Errorf("it sent %q and got %q", message, answer)
	}
	return nil
}

// leave promises to send no more, and says what came instead of the end of the connection.
func leave(client net.Conn, patience time.Duration) error {
	client.SetDeadline(time.Now().Add(patience))
	client.(*net.TCPConn).CloseWrite()
	rest, err := io.ReadAll(client)
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("it has sent its last message, and got %s and the error %v instead of the end of the connection", wire.Show(string(rest)), err)
	}
	return nil
}
