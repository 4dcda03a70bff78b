package main

import (
	"fmt"
	"regexp"
	"runtime"
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
		rests := server.ComesToRest()

		require.NotRegexp(t, "address already in use|Only one usage", server.Output(), `
			A client connected, and then the server called Listen again, while it was listening.

			One Listen is enough for all clients. It belongs before the loop, which begins with
			Accept.`)
		require.Truef(t, rests, `
			The client connected and sent nothing, but the server kept a CPU busy. It %s.

			With nothing to do, a server waits in Accept or Read, so each loop must call one of
			them. A loop that only starts goroutines never waits: "go" returns at once. Neither
			does a loop that goes on after an error.`, server)
		require.Truef(t, server.StaysUp(), `
			The client connected, and then the server was gone: it %s.

			A server calls Listen once. Then it calls Accept in a loop that never ends. If main
			returns, the program ends.`, server)
	})
	program.Test(e, "a client that tries another address of this machine", func(t *program.T) {
		server := t.Start()
		server.Dial() // now it listens

		for _, other := range []string{"[::1]:20000", "127.0.0.2:20000"} {
			require.Falsef(t, program.Reaches(other), `
				The client could connect to %s.

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
		require.True(t, server.ComesToRest(), "The client was silent. The server kept a CPU busy.")

		client.Send("hello")
		answer := client.Receive(5)

		if answer == "" {
			awaited, why := client.Awaited(client.HasMore)
			require.Emptyf(t, awaited, `
				The client sent "hello", and the answer came only after %s.

				%s`, awaited, why)
		}
		require.False(t, answer == "" && client.HasEnded() && server.StaysUp(), `
			The client sent "hello", and the server closed the connection without an answer.

			The order is Read, Write, Close. A function doesn't wait for the goroutines that it
			starts. If it closes the connection, or a defer in it does, they come too late.`)
		require.NotEmptyf(t, answer, `
			The client sent "hello" and got no answer. The server %s.

			Connecting proves little: the kernel accepts connections on its own. Does main pass
			the connection to process? Does process Read into a buffer with a length, as in
			make([]byte, 128), and Write before it reads again? Does it Flush, if it has a
			bufio.Writer?`, server)
		require.Falsef(t, strings.HasPrefix(answer, "hello\x00"), `
			5 bytes went in, and %d came back.

			Read filled the first 5 bytes of the buffer and returned 5 as n. The bytes after the
			first n aren't part of the message.`, len(answer))
		require.Equalf(t, "hello", answer, `
			"hello" went in, and %s came back.

			An echo is the same bytes and nothing else.`, wire.Show(answer))
	})
}

func Test03_EchoesEveryMessage(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#3-echo-every-message", "main.go")
	wire.Test(e, "a client that sends twelve messages, one by one", func(t *wire.T) {
		client, conn := t.Client()
		served := t.Go(func() { process(conn) })

		messages := []string{"one", "again"} // none is shorter than the one before
		for n := 3; n <= 12; n++ {
			messages = append(messages, fmt.Sprint("message ", n))
		}
		for _, message := range messages {
			client.Send(message)
			answer := client.Receive()

			require.Falsef(t, answer == "" && client.Closed(), `
				The client sent %q and got no answer: process had closed the connection.

				process must serve a client until that client leaves. Read and Write belong in a
				loop. Close the connection when the loop has ended: a defer before the loop does
				that.`, message)
			require.Falsef(t, answer == "" && served.Returned(), `
				The client sent %q and got no answer: process had returned.

				process must serve a client until that client leaves. Read and Write belong in a
				loop.`, message)
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

			TCP keeps the order in which the program writes. If each Write runs in a goroutine of
			its own, it may run late, when Read has filled the buffer again. Write, then read on.`,
			wire.Show(answers))
		require.Equalf(t, "one,two,seven", answers, `
			"one,", "two," and "seven" went in, and %s came back.

			Every message gets its answer, even if the client sends the next one first.`,
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

			A client may be silent for as long as it likes. A deadline, if process sets one, is a
			moment: after it every Read and Write fails.`, wire.Show(answer))
	})
	wire.Test(e, "a client that sends once a minute, for an hour", func(t *wire.T) {
		client, conn := t.Client()
		t.Go(func() { process(conn) })

		for minute := 1; minute <= 60; minute++ {
			time.Sleep(time.Minute)
			message := fmt.Sprint("message ", minute)
			client.Send(message)
			answer := client.Receive()

			require.Equalf(t, message, answer, `
				After %d minutes it sent %q, and %s came back.

				A deadline is a moment: after it every Read and Write fails. If process sets
				one, it must set a new one before each Read.`, minute, message, wire.Show(answer))
		}
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

		require.Falsef(t, first != "" && len(first) < len(long), `
			%s went in, and %s came back.

			Messages have up to 128 bytes. A buffer of 128 bytes holds any of them, and one Read
			returns all of it.`, wire.Show(long), wire.Show(first))
		require.Equalf(t, long, first, `
			%s went in, and %s came back.

			An echo is the same bytes and nothing else.`, wire.Show(long), wire.Show(first))
		require.Falsef(t, strings.HasPrefix(second, "hinglong"), `
			"hi" went in, and %s came back.

			Read writes to the beginning of the buffer and leaves the rest as it was. The bytes
			after the first n belong to the message before.`, wire.Show(second))
		require.Equalf(t, "hi", second, `
			"hi" went in after a long message, and %s came back.`, wire.Show(second))
	})
	wire.Test(e, "messages of 1, 127 and 128 bytes", func(t *wire.T) {
		client, conn := t.Client()
		t.Go(func() { process(conn) })

		for _, size := range []int{1, 127, 128} {
			message := strings.Repeat("m", size)
			client.Send(message)
			answer := client.Receive()

			require.Equalf(t, message, answer, `
				%s went in, and %s came back.

				A message can fill the buffer exactly. If process then waits for more, it may wait
				forever.`, wire.Show(message), wire.Show(answer))
		}
	})
}

func Test05_EchoesAnyBytesUnchanged(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#5-echo-any-bytes-unchanged", "main.go")
	for _, sent := range []struct{ name, message, why string }{
		{"bytes of value 0", "a\x00b\x00", "In Go a byte of value 0 doesn't end a string."},
		{"bytes that aren't text", "\xff\xfe\x80", "[]rune replaces bytes that aren't UTF-8."},
		{"Chinese", "你好", "These 2 characters are 6 bytes, and n counts bytes."},
		{"a character that's cut", "你\xe5", "Half a character isn't valid UTF-8."},
		{"percent signs", "100%d", "A message isn't a format, in which % begins a verb."},
		{"spaces", "  both  ends \t", "Only the client knows what its spaces mean."},
		{"a line", "a line\r\n", "A line ending is part of the message."},
		{"a carriage return", "a\rb\r", "Inside a message, \\r is a byte like any other."},
		{"no text but a line ending", "\n", "A message may be nothing but a line ending."},
	} {
		wire.Test(e, sent.name, func(t *wire.T) {
			client, conn := t.Client()
			t.Go(func() { process(conn) })

			client.Send(sent.message)
			answer := client.Receive()

			require.NotEmptyf(t, answer, `
				%q went in, and nothing came back.

				Every message gets its answer, whatever its bytes are.`, sent.message)
			require.Equalf(t, sent.message, answer, `
				%q went in, and %s came back.

				An echo is the same bytes and nothing else. %s`,
				sent.message, wire.Show(answer), sent.why)
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

				That's how Println prints a []byte. string(buf[:n]) makes text of n bytes.`)
			require.Falsef(t, !shown && strings.Contains(server.Output(), message), `
				The server printed %q to its standard error.

				log and the built-in println write there. Results go to standard output, where
				fmt.Println writes.`, message)
			require.Truef(t, shown, `
				The client sent %q, but the server's standard output doesn't contain it. The
				server %s.

				Print each message before you read on. A bufio.Writer prints at Flush.`, message,
				server)
		}
		require.NotContains(t, server.Stdout(), "\x00", `
			After the message the server printed bytes of value 0 that the client hadn't sent.

			The bytes after the first n in the buffer aren't part of the message. A terminal hides
			zeros, but a file contains them.`)
	})
	wire.Test(e, "a client that sends messages in threes", func(t *wire.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the newest goroutine runs first
		client, conn := t.Client()
		t.Go(func() { process(conn) })

		for n := 10; n < 40; n += 3 {
			three := fmt.Sprintf("<%d> <%d> <%d>", n, n+1, n+2)
			client.Send(strings.Fields(three)...)
			client.Receive()
		}

		shown := regexp.MustCompile(`<\d\d>`).FindAllString(t.Printed(), -1)
		require.True(t, slices.IsSorted(shown), `
			The messages <10> to <39> went in, and the server printed a later one before an earlier
			one.

			If each message is printed in its own goroutine, the order is unpredictable. Print,
			then read on.`)
	})
	program.Test(e, "a client that sends 100 messages at once", func(t *program.T) {
		server := t.Start()
		client := server.Dial()

		for i := range 100 {
			client.Send(fmt.Sprintf("<%03d>%s", i, strings.Repeat(".", 123)))
		}
		client.CloseWrite()
		rest, _ := client.Rest()
		server.ComesToRest() // it has printed everything

		require.Less(t, len(rest), 1<<20, `
			A client sent 100 messages with 128 bytes each and half-closed. The server sent over
			1 MiB.

			When Read returns an error, no message has come, so there's nothing to answer.`)
		shown := regexp.MustCompile(`<\d{3}>`).FindAllString(server.Stdout(), -1)
		different := slices.Compact(slices.Clone(shown))
		var twice []string
		for _, message := range different {
			twice = append(twice, message, message)
		}
		require.False(t, len(shown) > 0 && slices.Equal(shown, twice), `
			The messages <000> to <099> went in, and the server printed each of them twice.

			It may print a message when it receives it or when it sends it, but not both times.`)
		require.True(t, slices.IsSorted(shown) && len(shown) == len(different), `
			The messages <000> to <099> went in, and the server printed some twice or in another
			order.

			If another goroutine prints them, it may run late: Read has filled the buffer again,
			or a later message comes first. Print, then read on.`)
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

			When Read returns an error, such as io.EOF, process must return. Until then, its
			goroutine can do nothing else, and the connection stays open.`)
		require.True(t, client.Closed(), `
			The client closed the connection, and process returned, but it left its end open.

			A program may have only so many connections open. This one belongs to process, so
			process must close it, whichever way it returns. defer does that.`)
	})
	wire.Test(e, "a client that finishes sending and takes its answer late", func(t *wire.T) {
		client, conn := t.Client()
		client.Hold(1) // a Write of more than a byte waits
		t.Go(func() { process(conn) })

		client.Send("hello")
		client.CloseWrite()
		t.Wait()
		answer := client.Receive()

		require.Containsf(t, answer, "hello", `
			The client sent "hello", finished sending, and got %s.

			A client that has finished sending can still receive. Before process closes the
			connection, it must answer everything that came in, and each Write must return.`,
			wire.Show(answer))
	})
	program.Test(e, "a client that says goodbye", func(t *program.T) {
		server := t.Start()
		client := server.Dial()
		client.Send("hello")
		answer := client.Receive(5)

		client.CloseWrite()
		rest, _ := client.Rest()

		require.Falsef(t, answer != "" && rest != "", `
			The client got its answer, finished sending, and then got %s.

			An echo is the same bytes and nothing else, at the end too.`, wire.Show(rest))
		require.Truef(t, server.StaysUp(), `
			The client left, and then the server was gone: it %s.

			When a client leaves, only its connection ends. log.Fatal, os.Exit, a panic and a
			return from main all end the whole program.`, server)
		require.False(t, client.WasReset(), `
			The client got a reset from the server instead of a clean end.

			Close ends a connection cleanly, unless bytes are unread or SetLinger(0) was called.
			Answers that are still in flight can get lost in a reset.`)
	})
}

func Test08_ServesTwoClientsAtOnce(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#8-serve-two-clients-at-once", "main.go")
	program.Test(e, "ten clients that stay", func(t *program.T) {
		server := t.Start()

		for n := 1; n <= 10; n++ {
			client := server.Dial()
			message := fmt.Sprint("I am client ", n)
			client.Send(message)
			answer := client.Receive(len(message))

			require.Truef(t, answer != "" || server.StaysUp(), `
				Client %d sent %q, and then the server was gone: it %s.`, n, message, server)
			require.Falsef(t, answer == "" && !client.HasEnded() && n > 1, `
				While client %d stayed connected, client %d sent %q and got no answer. The
				server %s.

				The kernel connects clients on its own. main must keep accepting while process
				runs, and one process must not wait for another.`, n-1, n, message, server)
			require.Equalf(t, message, answer, `
				Client %d sent %q, and %s came back.

				Each client gets the answers to its own messages and nothing else. If clients
				share a buffer, one gets the other's bytes.`, n, message, wire.Show(answer))
		}
	})
	program.Test(e, "a client that stays while another one comes", func(t *program.T) {
		server := t.Start()
		first := server.Dial()
		first.Send("one")
		first.Receive(3)
		second := server.Dial()
		second.Send("two")
		second.Receive(3)

		for _, message := range []string{"three", "four"} {
			first.Send(message)
			answer := first.Receive(len(message))

			require.Falsef(t, answer == "" && first.HasEnded(), `
				Client 1 sent %q, but the server had already closed the connection.

				The server must serve a client until that client leaves, even if others connect.`,
				message)
			require.Falsef(t, answer == "" && strings.Contains(second.Surplus(), message), `
				Client 1 sent %q, and client 2 got it.

				If the clients share a variable or a channel, their answers mix. Each client needs
				its own.`, message)
			require.Equalf(t, message, answer, `
				Client 1 sent %q, and %s came back.

				Each client gets the answers to its own messages and nothing else. If clients
				share a buffer, a reader or a connection, one takes what belongs to another.`,
				message, wire.Show(answer))
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
			and %s came back.

			If clients share a buffer, one gets the other's bytes. Each client needs its own.`,
			wire.Show(meanwhile))
		require.Falsef(t, len(answer) == 4 && strings.ContainsAny(answer, "meanwhile"), `
			The late client sent "LATE" and got bytes of the other client: %s.

			The two clients share a buffer. While Write still sends from it, the other client's
			Read fills it again. Each client needs a buffer of its own.`, wire.Show(answer))
		require.Equalf(t, "LATE", answer, `
			"LATE" went in, and %s came back.`, wire.Show(answer))
	})
}

func Test09_SurvivesAClientThatVanishes(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#9-survive-a-client-that-vanishes", "main.go")
	for _, leaving := range []struct {
		name  string
		leave func(client *program.Peer)
	}{
		{"a client that resets after its answer", func(client *program.Peer) {
			client.Receive(5)
			client.Reset()
		}},
		{"a client that closes before its answer", (*program.Peer).Close},
	} {
		program.Test(e, leaving.name, func(t *program.T) {
			server := t.Start()
			witness, client := server.Dial(), server.Dial()
			server.ComesToRest() // it has accepted both
			witness.Send("first")
			require.NotEmptyf(t, witness.Receive(5), `
				Two clients connected, one right after the other. Client 1 sent "first" and got no
				answer. The server %s.

				If two goroutines use the same variable conn, both serve client 2. Pass it to each:
				go process(conn). Or declare it inside the loop.`, server)
			client.Send("hello")

			leaving.leave(client)

			require.Truef(t, server.StaysUp(), `
				Client 2 left, and then the server was gone: it %s.

				An error on one connection must end only that connection. log.Fatal, os.Exit, a
				panic and a return from main all end the whole program.`, server)
			witness.Send("and me?")
			answer := witness.Receive(7)
			require.Equalf(t, "and me?", answer, `
				Client 2 left. Then client 1 sent "and me?", and %s came back. The server %s.

				The server must keep serving the clients that stay.`, wire.Show(answer), server)
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
		{"a reset that every Read reports, as on Windows", "Read", func(client *wire.Peer) {
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
				%s failed, but process didn't return.

				An error ends this connection. process must return, and so must each goroutine
				that it started.`, vanishing.call)
			require.Truef(t, client.Closed(), `
				%s failed. process returned, but it left the connection open.

				process must close a connection that failed, like any other. With a deferred
				Close, every return closes it.`, vanishing.call)
		})
	}
}

func Test10_ReportsThatThePortIsTaken(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#10-report-that-the-port-is-taken", "main.go")
	program.Test(e, "the port is taken", func(t *program.T) {
		good := t.Start() // while the port is free
		client := good.Dial()
		client.Send("hello")
		require.Truef(t, client.Receive(5) != "" || good.StaysUp(), `
			The port was free, a client sent "hello", and then the server was gone: it %s.`, good)
		good.Stop()
		require.NotContains(t, good.Output(), "<nil>", `
			The port was free, and the server printed an error that's nil.

			<nil> means no error. Look at err first: print it only if it isn't nil.`)
		t.Listen() // now the test has the port

		server := t.Start()

		require.True(t, server.Ended(), `
			Listen failed, and a second later the server was still running.

			Without its port it can serve no client. It must print the error and end.`)
		require.Falsef(t, server.Crashed(), `
			Listen failed. The server %s.

			When Listen returns an error, the listener is nil. Print the error and return: don't
			panic, and don't use the listener.`, server)
		require.True(t, server.Says(), `
			Listen failed, and the server printed nothing.

			Print the error: it says that the address is in use.`)
		require.Truef(t, server.SaysOther(good.Output()), `
			Listen failed, and the server printed only what it prints when nothing is wrong: %q.

			Print the error: it says that the address is in use.`, server.Output())
	})
}
