package main

import (
	"strings"
	"testing"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program"
	"example.com/tcp-steps/internal/wire"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { program.Main(m, main) }

func Test01_ListensOnPort20000(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#1-listen-on-port-20000", "main.go")
	server := program.Start(e)

	server.Dial()

	require.Truef(e, server.StaysUp(), "a client connected, and the program was gone: %s. When main returns, the program ends, and the "+
		"port with it: a server goes on listening", server)
	for _, other := range []string{"[::1]:20000", "127.0.0.2:20000"} {
		require.Falsef(e, program.Reaches(other), "a client got through at %s as well: an address without a host, or 0.0.0.0, means every "+
			"address of the machine, so that other machines can connect too. Asked for is 127.0.0.1 alone", other)
	}
}

func Test02_EchoesAMessage(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#2-echo-a-message", "main.go")
	server := program.Start(e)
	client := server.Dial()

	client.Send("hello")
	answer := client.Receive(5)

	if answer == "" {
		client.CloseWrite()
		require.NotEqual(e, "hello", client.ReceiveSoon(5), "the answer came only when the client had promised to send no more: the server waits for "+
			"the end of the connection (io.ReadAll does), or for a newline; but a client that waits for its answer sends neither")
	}
	require.NotEmptyf(e, answer, "the client is connected and has sent %q, and no answer came; as for the server, %s. "+
		"That a client could connect proves little: the operating system does that for a port that is listened on. Is process called, with the connection that "+
		"Accept returned? Does it Read into a buffer that has a length, and Write?", "hello", server)
	require.Falsef(e, len(answer) > 5 && strings.HasPrefix(answer, "hello\x00"), "5 bytes went in and %d came back: Read has filled the first 5 bytes of "+
		"the buffer and said so in n; what lies behind n is no part of the message", len(answer))
	require.Equalf(e, "hello", answer, "%q went in and %s came back: an echo is the same bytes, and no others", "hello", wire.Show(answer))
}

func Test03_EchoesEveryMessage(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#3-echo-every-message", "main.go")
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Client()
		t.Go(func() { process(conn) })

		client.Send("one")
		answer := client.Receive()
		require.Equalf(t, "one", answer, "%q went in and %s came back: the first message is not echoed yet", "one", wire.Show(answer))

		for _, message := range []string{"three", "seven"} {
			client.Send(message)
			answer := client.Receive()

			require.Equalf(t, message, answer, "%q went in, on the same connection as the messages before, and %s came back: one Read and one Write serve "+
				"one message, and a client may send as many as it likes", message, wire.Show(answer))
		}
	})
}

func Test04_EchoesOnlyWhatWasSent(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#4-echo-only-what-was-sent", "main.go")
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Client()
		t.Go(func() { process(conn) })

		long := strings.Repeat("long", 30) // 120 bytes
		client.Send(long)
		answer := client.Receive()
		require.Equalf(t, long, answer, "%s went in and %s came back: a message of up to 128 bytes fits into a buffer of 128 bytes, and comes back "+
			"whole", wire.Show(long), wire.Show(answer))

		client.Send("hi")
		answer = client.Receive()

		require.Equalf(t, "hi", answer, "%q went in and %s came back: Read writes to the beginning of the buffer and leaves the rest as it "+
			"was; bytes behind n belong to the previous message", "hi", wire.Show(answer))
	})
}

func Test05_EchoesAnyBytesUnchanged(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#5-echo-any-bytes-unchanged", "main.go")
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Client()
		t.Go(func() { process(conn) })

		for _, sent := range []struct{ message, why string }{
			{"a\x00b\x00", "a byte of value 0 is a byte like any other, and ends nothing in Go"},
			{"\xff\xfe\x80", "these bytes are no text in UTF-8, and need not be: whoever takes them apart into runes gets replacement characters"},
			{"你好", "a character can be several bytes: here 6 bytes are 2 characters, and n counts bytes"},
			{"100%d", "a message is data, and whoever gives it to Printf or Fprintf as the format has it changed"},
			{"  both ends \t", "blanks belong to the message, and only the client knows what they mean"},
			{"a line\r\n", "a line ending belongs to the message, and only the client knows what it means"},
			{"no line", "TCP carries bytes, not lines: who waits for a newline waits for something that nobody promised"},
		} {
			client.Send(sent.message)
			answer := client.Receive()

			require.NotEmptyf(t, answer, "%q got no answer, after the messages before it had got theirs", sent.message)
			require.Equalf(t, sent.message, answer, "%q went in and %s came back: %s", sent.message, wire.Show(answer), sent.why)
		}
	})
}

func Test06_ShowsWhatItReceived(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#6-show-what-it-received", "main.go")
	server := program.Start(e)
	client := server.Dial()

	for _, message := range []string{"show me this", "and that"} {
		client.Send(message)
		shown := server.Shows(message)

		require.NotContains(e, server.Stdout(), "[115 104 111 119", "the server shows the message as a list of numbers, which is how a []byte is printed: "+
			"string(…) makes it text")
		require.Falsef(e, !shown && strings.Contains(server.Output(), message), "the server printed %q, but to its standard error, where log and println write: "+
			"what a program is there to show goes to its standard output, as fmt.Println has it", message)
		require.Truef(e, shown, "the client sent %q, and the server's standard output does not contain it; as for the server, %s", message, server)
	}
	require.NotContains(e, server.Stdout(), "\x00", "behind the message the server printed bytes of value 0 that nobody sent: what lies behind n in the buffer "+
		"is no part of the message (a terminal hides them, a file does not)")
}

func Test07_ClosesTheConnectionWhenAClientLeaves(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#7-close-the-connection-when-a-client-leaves", "main.go")

	server := program.Start(e)
	leaver := server.Dial()
	leaver.CloseWrite() // the server learns that the client will send no more
	leaver.Rest()       // and closes, or ends, before anything else happens here
	require.Truef(e, server.StaysUp(), "one client has left, and the whole server went with it: %s. That a client leaves is no reason to end the "+
		"program, as log.Fatal, os.Exit and panic do", server)
	server.Stop()

	wire.Test(e, func(t *wire.T) {
		client, conn := t.Client()
		served := t.Go(func() { process(conn) })
		client.Send("hello")
		client.Receive()

		client.Close()

		require.True(t, served.Returned(), "the client has closed the connection, and process has not returned: its goroutine, and all that it "+
			"holds, stays for ever. When Read returns an error, io.EOF above all, there is nothing more to wait for")
		require.True(t, client.Closed(), "process has returned and left the connection open: what it takes up in the operating system is never given back, and "+
			"a program can have only so many of them. The connection belongs to process, so process closes it")
	})
}

func Test08_ServesTwoClientsAtOnce(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#8-serve-two-clients-at-once", "main.go")
	server := program.Start(e)
	one := server.Dial()
	one.Send("I am one")
	answer := one.Receive(8)
	require.Equalf(e, "I am one", answer, "client 1 sent %q and %s came back; as for the server, %s", "I am one", wire.Show(answer), server)

	two := server.Dial()
	two.Send("I am two")
	answer = two.Receive(8)

	require.Falsef(e, answer == "" && !server.StaysUp(), "client 2 connected, and the whole server was gone, for client 1 too: %s", server)
	require.Equalf(e, "I am two", answer, "client 2 is connected, but not served while client 1 is: as for the server, %s. The loop that accepts must not "+
		"wait for process, nor one process for another", server)
	one.Send("still here")
	require.Equalf(e, "still here", one.Receive(10), "client 1 was served until client 2 came, and is no longer: as for the server, %s", server)
}

func Test09_SurvivesAClientThatVanishes(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#9-survive-a-client-that-vanishes", "main.go")
	server := program.Start(e)
	witness := server.Dial()

	for _, leave := range []func(client *program.Peer){
		func(client *program.Peer) { // without a word
			client.CloseWrite()
			client.Rest()
		},
		func(client *program.Peer) { // while the server waits for more: its Read fails
			client.Send("hello")
			answer := client.Receive(5)
			require.Equalf(e, "hello", answer, "a client sent %q and %s came back, while another one was connected and idle; as for the server, %s",
				"hello", wire.Show(answer), server)
			client.Reset()
		},
		func(client *program.Peer) { // without waiting for the answer: the server's Write can fail
			client.Send("hello")
			client.Close()
		},
	} {
		leave(server.Dial())
		require.Truef(e, server.StaysUp(), "one client vanished, and the whole server went with it: %s. What goes wrong with one connection ends "+
			"that connection, and nothing else: log.Fatal, os.Exit and panic end the program for everybody", server)
	}

	for _, client := range []*program.Peer{witness, server.Dial()} {
		client.Send("and me?")
		require.Equalf(e, "and me?", client.Receive(7), "a client vanished, and another one is no longer served: as for the server, %s", server)
	}
	server.Stop()

	wire.Test(e, func(t *wire.T) {
		for _, call := range []string{"Write", "Read"} { // that fails
			client, conn := t.Client()
			client.Send("hello")
			if call == "Write" {
				client.Reset() // before the answer
			}
			served := t.Go(func() { process(conn) })
			if call == "Read" {
				client.Receive()
				client.Reset() // after it, while process waits for more
			}

			require.Truef(t, served.Returned(), "the client has vanished, so %s has failed, and process has not returned", call)
			require.Truef(t, client.Closed(), "the client has vanished, so %s has failed, and process has returned and left the connection open: a connection "+
				"that has failed must be closed like any other", call)
		}
	})
}

func Test10_SaysSoWhenThePortIsTaken(t *testing.T) {
	e := lesson.Start(t, "docs/1-server.md#10-say-so-when-the-port-is-taken", "main.go")
	good := program.Start(e)
	good.Dial()
	require.Truef(e, good.StaysUp(), "the port was free, a client connected, and the program was gone: %s", good)
	good.Stop()       // what it has printed is what it prints when all is well
	program.Listen(e) // the test has the port now

	server := program.Start(e)

	require.True(e, server.Ended(), "port 20000 is taken, so Listen has failed, and a second later the server is still running: "+
		"it can serve nobody, and whoever started it believes that it does")
	require.Falsef(e, server.Crashed(), "port 20000 is taken, so Listen has returned an error, and nil instead of a listener; as for the server, %s. "+
		"A panic is for mistakes in a program, and a port that is taken is none: print the error and return, before anything uses the listener", server)
	require.True(e, server.Says(), "port 20000 is taken, so Listen has failed, and the program ended without a word: whoever started it should be told why")
	require.Falsef(e, strings.HasPrefix(good.Output(), server.Output()), "port 20000 is taken, so Listen has failed, and the program has only said what it says when all is well, too, %q: "+
		"whoever started it should be told that something is wrong, and what", server.Output())
}
