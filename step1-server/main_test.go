package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program"
	"example.com/tcp-steps/internal/wire"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { program.Main(m, main) }

func Test01_ListensOnPort20000(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#1-listen-on-port-20000", "main.go")
	program.Test(e, "a client that connects", func(t *program.T) {
		server := t.Start()

		server.Dial()

		require.Truef(t, server.ComesToRest(), `
			The client connected, and the server never came to rest: %s.

			A server that has nothing to do waits in Accept or Read. Call Accept in the loop
			itself: "go" returns at once, so a loop around it never waits.`, server)
		require.Truef(t, server.StaysUp(), `
			The client connected, and then the server was gone: %s.

			When main returns, the program ends, and the port goes with it. A server listens
			until it's stopped.`, server)
	})
	program.Test(e, "a client that tries another address of this machine", func(t *program.T) {
		server := t.Start()
		server.Dial() // now it listens

		for _, other := range []string{"[::1]:20000", "127.0.0.2:20000"} {
			require.Falsef(t, program.Reaches(other), `
				The client got through at %s.

				An address without a host, or with 0.0.0.0, means every address of the machine,
				so other machines could connect. Listen on 127.0.0.1 only.`, other)
		}
	})
}

func Test02_EchoesAMessage(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#2-echo-a-message", "main.go")
	program.Test(e, "a client that sends hello", func(t *program.T) {
		server := t.Start()
		client := server.Dial()

		client.Send("hello")
		answer := client.Receive(5)

		if answer == "" {
			awaited := client.Awaited(func() bool { return client.Surplus() != "" })
			require.Emptyf(t, awaited, `
				The client sent "hello", and the answer came only after %s.

				ReadString and Scan wait for a newline, io.ReadFull for a full buffer, io.ReadAll
				for the end of the connection. Read returns what has arrived.`, awaited)
		}
		require.NotEmptyf(t, answer, `
			The client sent "hello" and got no answer. The server: %s.

			Connecting proves little: the kernel accepts connections on its own. Does main pass
			the connection to process? Does process Read into a buffer with a length, then Write?`,
			server)
		require.Falsef(t, strings.HasPrefix(answer, "hello\x00"), `
			5 bytes went in, and %d came back.

			Read filled the first 5 bytes of the buffer and said so in n. What lies behind n
			isn't part of the message.`, len(answer))
		require.Equalf(t, "hello", answer, `
			"hello" went in, and %s came back.

			An echo is the same bytes, and no others.`, wire.Show(answer))
	})
}

func Test03_EchoesEveryMessage(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#3-echo-every-message", "main.go")
	wire.Test(e, "a client that sends three messages, one by one", func(t *wire.T) {
		client, conn := t.Client()
		served := t.Go(func() { process(conn) })

		for _, message := range []string{"one", "three", "seven"} {
			client.Send(message)
			answer := client.Receive()

			require.Falsef(t, answer == "" && client.Closed(), `
				The client sent %q and got no answer: process had closed the connection.

				process serves a client until it leaves. Read and Write belong in a loop, and Close
				behind it.`, message)
			require.Falsef(t, answer == "" && served.Returned(), `
				The client sent %q and got no answer: process had returned.

				process serves a client until it leaves. Read and Write belong in a loop.`,
				message)
			require.Equalf(t, message, answer, `
				%q went in, and %s came back.

				Each answer is the message that just came in: all of it, once, and nothing else.`,
				message, wire.Show(answer))
		}
	})
	wire.Test(e, "a client that sends three messages before it takes an answer", func(t *wire.T) {
		client, conn := t.Client()
		client.Hold(1) // a Write of more than a byte waits
		t.Go(func() { process(conn) })

		client.Send("one,", "two,", "seven")
		t.Wait()
		answers := client.Receive()

		require.Falsef(t, len(answers) == 13 && answers != "one,two,seven", `
			"one,", "two," and "seven" went in, and %s came back.

			TCP keeps bytes in the order in which they're written. Two goroutines that write to
			one connection at the same time mix their bytes: finish a Write, then start the next.`,
			wire.Show(answers))
		require.Equalf(t, "one,two,seven", answers, `
			"one,", "two," and "seven" went in, and %s came back.

			Each message has its answer, even if the client sends the next one first.`,
			wire.Show(answers))
	})
	wire.Test(e, "a client that's silent for a minute", func(t *wire.T) {
		client, conn := t.Client()
		t.Go(func() { process(conn) })
		client.Send("hello")
		client.Receive()

		time.Sleep(time.Minute)
		client.Send("still here")
		answer := client.Receive()

		require.Equalf(t, "still here", answer, `
			The client got an answer and was silent for a minute. Then "still here" went in, and
			%s came back.

			A deadline is a moment: after it every Read and Write fails. Set none in this step,
			or a later one before each Read.`, wire.Show(answer))
	})
}

func Test04_EchoesOnlyWhatWasSent(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#4-echo-only-what-was-sent", "main.go")
	wire.Test(e, "a long message, then a short one", func(t *wire.T) {
		client, conn := t.Client()
		t.Go(func() { process(conn) })
		long := strings.Repeat("long", 30)

		client.Send(long)
		first := client.Receive()
		client.Send("hi")
		second := client.Receive()

		require.NotEmptyf(t, first, `
			%s went in, and nothing came back.`, wire.Show(long))
		require.GreaterOrEqualf(t, len(first), len(long), `
			%s went in, and %s came back.

			A message of up to 128 bytes fits into a buffer of 128 bytes, and Read returns all of
			it.`, wire.Show(long), wire.Show(first))
		require.Equalf(t, long, first, `
			%s went in, and %s came back.

			An echo is the same bytes, and no others.`, wire.Show(long), wire.Show(first))
		require.Falsef(t, len(second) > 2 && strings.HasPrefix(second, "hi"), `
			"hi" went in, and %s came back.

			Read writes to the beginning of the buffer and leaves the rest as it was. The bytes
			behind n belong to the message before.`, wire.Show(second))
		require.Equalf(t, "hi", second, `
			"hi" went in, behind a long message, and %s came back.`, wire.Show(second))
	})
	wire.Test(e, "messages of 1, 127 and 128 bytes", func(t *wire.T) {
		client, conn := t.Client()
		t.Go(func() { process(conn) })

		for _, size := range []int{1, 127, 128} {
			message := strings.Repeat("m", size)
			client.Send(message)
			answer := client.Receive()

			require.Equalf(t, message, answer, `
				%d bytes went in, and %d came back.

				A full buffer is a message like any other: don't wait for more when n is
				len(buf).`, size, len(answer))
		}
	})
}

func Test05_EchoesAnyBytesUnchanged(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#5-echo-any-bytes-unchanged", "main.go")
	for _, sent := range []struct{ name, message, why string }{
		{"bytes of value 0", "a\x00b\x00", "A zero is a byte too. It ends nothing in Go."},
		{"bytes that aren't text", "\xff\xfe\x80", "They aren't UTF-8, so runes don't keep them."},
		{"Chinese", "你好", "6 bytes are 2 characters here, and n counts bytes."},
		{"a character that's cut", "你\xe5", "Half a character isn't UTF-8 either."},
		{"percent signs", "100%d", "Printf and Fprintf take % for a verb."},
		{"blanks", "  both  ends \t", "Only the client knows what its blanks mean."},
		{"a line", "a line\r\n", "A line ending is part of the message, as any byte is."},
		{"a carriage return", "a\rb\r", "Inside a message, \\r is a byte like any other."},
		{"no text but a line ending", "\n", "A message of a line ending alone is a message."},
	} {
		wire.Test(e, sent.name, func(t *wire.T) {
			client, conn := t.Client()
			t.Go(func() { process(conn) })

			client.Send(sent.message)
			answer := client.Receive()

			require.NotEmptyf(t, answer, `
				%q went in, and nothing came back.`, sent.message)
			require.Equalf(t, sent.message, answer, `
				%q went in, and %s came back.

				%s`, sent.message, wire.Show(answer), sent.why)
		})
	}
}

func Test06_ShowsWhatItReceived(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#6-show-what-it-received", "main.go")
	program.Test(e, "a client that sends two messages", func(t *program.T) {
		server := t.Start()
		client := server.Dial()

		for _, message := range []string{"show me this", "100%d and that"} {
			client.Send(message)
			shown := server.Shows(message)

			require.NotContains(t, server.Stdout(), "[115 104 111 119", `
				The server printed the message as a list of numbers.

				That's how Println prints a []byte. string(…) makes it text.`)
			require.Falsef(t, !shown && strings.Contains(server.Output(), message), `
				The server printed %q to its standard error.

				log and the built-in println write there. Results go to standard output, where
				fmt.Println writes.`, message)
			require.Truef(t, shown, `
				The client sent %q, but the server's standard output doesn't contain it. The
				server: %s.`, message, server)
		}
		require.NotContains(t, server.Stdout(), "\x00", `
			Behind the message the server printed bytes of value 0 that the client didn't send.

			What lies behind n in the buffer isn't part of the message. A terminal hides these
			bytes, a file doesn't.`)
	})
	program.Test(e, "a client that sends 100 messages at once", func(t *program.T) {
		server := t.Start()
		client := server.Dial()

		for i := range 100 {
			client.Send(fmt.Sprintf("<%03d>%s", i, strings.Repeat(".", 123)))
		}
		client.CloseWrite()
		client.Rest()

		shown := regexp.MustCompile(`<\d{3}>`).FindAllString(server.Stdout(), -1)
		require.Truef(t, slices.IsSorted(shown) && len(slices.Compact(shown)) == len(shown), `
			The messages <000> to <099> went in, and the server printed some twice or in another
			order.

			Code that prints in a goroutine of its own uses the buffer while Read fills it again.
			Print first, then read on.`)
	})
}

func Test07_ClosesTheConnectionWhenAClientLeaves(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#7-close-the-connection-when-a-client-leaves", "main.go")
	wire.Test(e, "a client that closes the connection", func(t *wire.T) {
		client, conn := t.Client()
		served := t.Go(func() { process(conn) })
		client.Send("hello")
		client.Receive()

		client.Close()

		require.True(t, served.Returned(), `
			The client closed the connection, but process didn't return.

			Its goroutine, and all that it holds, stays forever. When Read returns an error, such
			as io.EOF, process has nothing to wait for any more.`)
		require.True(t, client.Closed(), `
			The client closed the connection, and process returned, but it left its end open.

			An open connection keeps its descriptor, and a program has only so many. The
			connection belongs to process, so process closes it.`)
	})
	wire.Test(e, "a client that sends no more, and takes its answer late", func(t *wire.T) {
		client, conn := t.Client()
		client.Hold(1) // a Write of more than a byte waits
		t.Go(func() { process(conn) })

		client.Send("hello")
		client.CloseWrite()
		t.Wait()
		answer := client.Receive()

		require.Containsf(t, answer, "hello", `
			"hello" went in. Then the client said that it sends no more, and took its answer: %s.

			A client that sends no more can still receive. process must answer all that came in,
			and wait until Write has returned, before it closes the connection.`,
			wire.Show(answer))
	})
	program.Test(e, "a client that says goodbye", func(t *program.T) {
		server := t.Start()
		client := server.Dial()
		client.Send("hello")
		client.Receive(5)

		client.CloseWrite()
		client.Rest()

		require.Truef(t, server.StaysUp(), `
			The client left, and the whole server went with it: %s.

			A client that leaves must not end the program, as log.Fatal, os.Exit, panic and a
			return from main do.`, server)
		require.False(t, client.WasReset(), `
			The client got a reset from the server instead of a clean end.

			Close ends a connection cleanly, unless bytes are unread or SetLinger(0) was called. A
			reset can destroy answers that are still in flight.`)
	})
}

func Test08_ServesTwoClientsAtOnce(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#8-serve-two-clients-at-once", "main.go")
	program.Test(e, "three clients that stay", func(t *program.T) {
		server := t.Start()

		var clients []*program.Peer
		for _, n := range []int{1, 2, 3, 1} {
			if n > len(clients) {
				clients = append(clients, server.Dial())
			}
			message := fmt.Sprint("I am client ", n)
			clients[n-1].Send(message)
			answer := clients[n-1].Receive(len(message))

			if answer == "" {
				require.Truef(t, server.StaysUp(), `
					Client %d sent %q, and the whole server was gone: %s.`, n, message, server)
				require.Falsef(t, clients[n-1].HasEnded(), `
					Client %d sent %q, but the server had closed its connection.

					A client that stays is served until it leaves, whoever else comes.`, n, message)
				for other, client := range clients {
					require.NotContainsf(t, client.Surplus(), message, `
						Client %d sent %q, and client %d got it.

						The clients share a variable or a channel, and each needs its own.`,
						n, message, other+1)
				}
			}
			require.NotEmptyf(t, answer, `
				Client %d, of %d that are connected, sent %q and got no answer. The server: %s.

				The kernel connects clients on its own. main must go on accepting while process
				runs, and one process must not wait for another.`,
				n, len(clients), message, server)
			require.Equalf(t, message, answer, `
				Client %d sent %q, and %s came back.

				Each client gets the answers to its own messages, and no others.`,
				n, message, wire.Show(answer))
		}
	})
	wire.Test(e, "a client that takes its answer late, and another one", func(t *wire.T) {
		late, lateConn := t.Client()
		other, otherConn := t.Client()
		late.Hold(1) // a Write of more than a byte waits
		t.Go(func() { process(lateConn) })
		t.Go(func() { process(otherConn) })

		late.Send("LATE")
		t.Wait()
		other.Send("meanwhile")
		meanwhile := other.Receive()
		answer := late.Receive()

		require.Equalf(t, "meanwhile", meanwhile, `
			While the server's Write to the late client waited, the other client sent "meanwhile",
			and %s came back.`, wire.Show(meanwhile))
		require.Falsef(t, len(answer) == 4 && strings.ContainsAny(answer, "meanwhile"), `
			The late client sent "LATE" and got bytes of the other client: %s.

			The two share a buffer: while one Write still sends from it, the other client's Read
			fills it. Each client needs a buffer of its own.`, wire.Show(answer))
		require.Equalf(t, "LATE", answer, `
			"LATE" went in, and %s came back.`, wire.Show(answer))
	})
}

func Test09_SurvivesAClientThatVanishes(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#9-survive-a-client-that-vanishes", "main.go")
	for _, leaving := range []struct {
		name   string
		resets bool
	}{
		{"a client that resets after its answer", true},
		{"a client that closes before its answer", false},
	} {
		program.Test(e, leaving.name, func(t *program.T) {
			server := t.Start()
			witness, client := server.Dial(), server.Dial()

			client.Send("hello")
			if leaving.resets {
				client.Receive(5)
				client.Reset()
			} else {
				client.Close()
			}

			require.Truef(t, server.StaysUp(), `
				The client left, and the whole server went with it: %s.

				What goes wrong with one connection must end that connection alone. log.Fatal,
				os.Exit, panic and a return from main end the whole program.`, server)
			witness.Send("and me?")
			answer := witness.Receive(7)
			require.Equalf(t, "and me?", answer, `
				The client left. Then another one sent "and me?", and %s came back. The
				server: %s.`, wire.Show(answer), server)
		})
	}
	for _, vanishing := range []struct {
		name string
		// what fails in process
		call   string
		vanish func(client *wire.Peer)
	}{
		{"a client that vanishes while process waits for more", "Read", func(client *wire.Peer) {
			client.Send("hello")
			client.Receive()
			client.Reset()
		}},
		{"a client that vanishes before it has its answers", "Write", func(client *wire.Peer) {
			client.Send(slices.Repeat([]string{"hello"}, 20)...)
			client.Reset()
		}},
		{"a client whose every Read fails, as on Windows", "Read", func(client *wire.Peer) {
			client.Send("hello")
			client.Receive()
			client.ResetAsOnWindows()
		}},
	} {
		wire.Test(e, vanishing.name, func(t *wire.T) {
			client, conn := t.Client()

			if vanishing.call == "Write" {
				vanishing.vanish(client) // before process writes
			}
			served := t.Go(func() { process(conn) })
			if vanishing.call == "Read" {
				vanishing.vanish(client) // while process reads
			}

			require.Truef(t, served.Returned(), `
				%s failed, but process didn't return.`, vanishing.call)
			require.Truef(t, client.Closed(), `
				%s failed. process returned, but it left the connection open.

				A connection that failed must be closed like any other.`, vanishing.call)
		})
	}
}

func Test10_SaysSoWhenThePortIsTaken(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#10-say-so-when-the-port-is-taken", "main.go")
	program.Test(e, "the port is taken", func(t *program.T) {
		good := t.Start() // while the port is free
		client := good.Dial()
		client.Send("hello")
		require.Truef(t, client.Receive(5) != "" || good.StaysUp(), `
			The port was free, a client sent "hello", and then the server was gone: %s.`, good)
		good.Stop()
		t.Listen() // now the test has the port

		server := t.Start()

		require.True(t, server.Ended(), `
			Listen failed, and a second later the server was still running.

			It can't serve anybody, but the person who started it believes that it does.`)
		require.Falsef(t, server.Crashed(), `
			Listen failed. The server: %s.

			Where Listen returns an error, it returns nil instead of a listener. Print the error
			and return before anything uses the listener.`, server)
		require.True(t, server.Says(), `
			Listen failed, and the server ended without a word.

			Print the error: it says that the address is in use.`)
		require.Truef(t, server.SaysOther(good.Output()), `
			Listen failed, and the server printed only what it prints when nothing is wrong: %q.

			Print the error: it says that the address is in use.`, server.Output())
	})
}
