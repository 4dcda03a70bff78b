package main

import (
	"fmt"
	"strings"
	"testing"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program"
	"example.com/tcp-steps/internal/wire"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { program.Main(m, main) }

func Test01_DialsPort20000(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#1-dial-port-20000", "main.go")
	program.Test(e, "a server that listens", func(t *program.T) {
		listener := t.Listen()

		client := t.Start()

		listener.Accept(client)
	})
}

func Test02_SendsWhatIsTyped(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#2-send-what-is-typed", "main.go")
	program.Test(e, "a line that's shorter than a buffer", func(t *program.T) {
		listener := t.Listen()
		client := t.Start()
		server := listener.Accept(client)

		client.Type("hello\n")
		message := server.Receive(5) + server.Surplus()

		require.NotContainsf(t, message, "\x00", `
			"hello\n" was typed, and the client sent %s.

			Read fills the beginning of the buffer and returns in n how many bytes it has read.
			The bytes after the first n aren't part of the line.`, wire.Show(message))
	})
	for _, line := range []struct{ name, ending string }{
		{"a line that ends with a newline", "\n"},
		{`a line that ends with \r\n, as on Windows`, "\r\n"},
	} {
		program.Test(e, line.name, func(t *program.T) {
			listener := t.Listen()
			client := t.Start()
			server := listener.Accept(client)
			const text = " hello  there"

			client.Type(text + line.ending)
			message := server.Receive(len(text))
			message += server.Surplus()

			require.False(t, message == "" && listener.HasAnother(), `
				When a line was typed, the client opened a second connection.

				One connection carries all messages.`)
			if message == "" {
				client.CloseInput()
				late := server.Receive(len(text))
				require.False(t, strings.HasPrefix(late, text), `
					The client sent the line only after its input had ended.

					Either it reads all of its input first, as io.ReadAll does, or it keeps the
					line in a bufio.Writer and calls no Flush.`)
			}
			require.NotEmptyf(t, message, `
				%q was typed, and the client sent nothing. The client %s.

				This server says nothing before it has received the line. Does the client read the
				line from os.Stdin? Does it Write the line before it waits for an answer, and Flush
				if it has a bufio.Writer?`, text+line.ending, client)
			require.NotEqualf(t, text+line.ending, message, `
				%q was typed, and the client sent it with its ending.

				The ending isn't part of the message. strings.Trim and its relatives return the line
				without it: use what they return. Fprintln adds a new one.`, text+line.ending)
			require.Equalf(t, text, message, `
				%q was typed, and the client sent %s. The client %s.

				The message is the line without its ending, with all its spaces.`,
				text+line.ending, wire.Show(message), client)
		})
	}
}

func Test03_ShowsTheAnswer(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#3-show-the-answer", "main.go")
	program.Test(e, "a server that answers", func(t *program.T) {
		listener := t.Listen()
		client := t.Start()
		server := listener.Accept(client)

		client.Type("hello\n")
		require.NotEmptyf(t, server.Receive(5), `
			"hello\n" was typed, and the client sent nothing. The client %s.`, client)
		server.Send("good evening")
		shown := client.Shows("good evening")

		require.NotContains(t, client.Stdout(), "[103 111 111 100", `
			The client printed the answer as a list of numbers.

			That's how Println prints a []byte. string(buf[:n]) makes text of n bytes.`)
		require.False(t, !shown && strings.Contains(client.Output(), "good evening"), `
			The client printed the answer to its standard error.

			log and the built-in println write there. Results go to standard output, where
			fmt.Println writes.`)
		require.Falsef(t, !shown && strings.Contains(client.Stdout(), "hello"), `
			The client printed %q, which was typed, but not the server's answer, %q.`,
			"hello", "good evening")
		if !shown {
			awaited, why := server.Awaited(func() bool {
				return strings.Contains(client.Stdout(), "good evening")
			})
			require.Emptyf(t, awaited, `
				The server answered, and the client showed the answer only after %s.

				%s`, awaited, why)
		}
		require.Truef(t, shown, `
			The server answered "good evening", but the client's standard output doesn't contain
			it. The client %s.

			After each line that it sends, the client must Read from the open connection and
			print string(buf[:n]). buf needs a length. When main returns, its goroutines end, and
			what a bufio.Writer hasn't flushed is lost.`, client)
	})
	program.Test(e, "an answer that's shorter than the buffer", func(t *program.T) {
		client, _ := t.AnsweredClient("good evening")

		require.NotContains(t, client.Stdout(), "\x00", `
			After the answer the client printed bytes of value 0 that the server hadn't sent.

			The bytes after the first n in the buffer aren't part of the answer. A terminal hides
			zeros, but a file contains them.`)
	})
	for _, answer := range []string{strings.Repeat("#", 128), strings.Repeat("=", 512)} {
		program.Test(e, fmt.Sprintf("an answer of %d bytes", len(answer)), func(t *program.T) {
			client, _ := t.AnsweredClient(answer)

			shown := strings.Contains(client.Stdout(), answer)
			printed := strings.Count(client.Stdout(), answer[:1])
			require.Falsef(t, !shown && printed >= 100 && printed < len(answer), `
				The server's answer had %d bytes, and the client printed %d of them.

				In this step an answer has up to 512 bytes. A buffer of 512 bytes holds any of
				them.`, len(answer), printed)
			require.Falsef(t, !shown && printed == len(answer), `
				The client printed all %d bytes of the server's answer, but other bytes between
				them.

				In this step an answer has up to 512 bytes. A buffer of 512 bytes holds any of
				them, so one Read and one Print are enough.`, printed)
			require.Truef(t, shown, `
				The server answered %s, but the client's standard output doesn't contain it. The
				client %s.

				An answer can fill the buffer exactly. If the client then waits for more, it may
				wait forever.`, wire.Show(answer), client)
		})
	}
}

func Test04_SendsLineAfterLine(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#4-send-line-after-line", "main.go")
	program.Test(e, "a first line and a second one", func(t *program.T) {
		listener := t.Listen()
		client := t.Start()
		server := listener.Accept(client)

		for _, line := range []string{"one", "two"} {
			client.Type(line + "\n")
			message := server.Receive(3)
			require.Falsef(t, message == "" && listener.HasAnother(), `
				When %q was typed, the client opened a second connection.

				One connection carries all messages.`, line)
			if message == "" {
				server.Send("one more answer")
				require.Falsef(t, client.Shows("one more answer"), `
					%q was typed, and the client sent nothing. Then the server sent "one more
					answer", and the client printed that.

					If a loop around Read, or io.Copy, waits for more answers, the client doesn't
					come back to the keyboard. Read once for each line.`, line)
			}
			require.NotEmptyf(t, message, `
				%q was typed, and the client sent nothing. The client %s.

				A client must send line after line, on the same connection, until the user quits.`,
				line, client)
			require.False(t, line == "two" && message == "one", `
				"two" was typed, and the client sent "one" once more.

				Read a new line before each message.`)
			require.Equalf(t, line, message, `
				%q was typed, and the client sent %s.

				The message is the line without its ending.`, line, wire.Show(message))
			answer := "the answer to " + line
			server.Send(answer)
			require.Truef(t, client.Shows(answer), `
				The answer to %q was %q, but the client's standard output doesn't contain it. The
				client %s.`, line, answer, client)
		}
	})
	program.Test(e, "lines and answers of all kinds", func(t *program.T) {
		listener := t.Listen()
		client := t.Start()
		server := listener.Accept(client)

		for _, line := range []struct{ typed, answer string }{
			{"one", "the answer to one"},
			{"two", " TWO\t"},
			{"\t100%d\xff\x00\r. ", "100%d"},
			{"你好 \xe5", "你好"},
			{strings.Repeat("3", 128), "three"},
			{strings.Repeat("4", 512), "four"},
			{"five", "\x00\xff five \x00"},
			{"six", "\r\n six \r\n"},
		} {
			client.Type(line.typed + "\n")
			message := server.Receive(len(line.typed))
			require.Equalf(t, line.typed, message, `
				%s was typed, and the client sent %s. The client %s.

				Until the user quits, the client must send each line without its ending, with all
				its other bytes.`, wire.Show(line.typed), wire.Show(message), client)

			server.Send(line.answer)
			require.Truef(t, client.Shows(line.answer), `
				The answer to %s was %s, but the client's standard output doesn't contain it. The
				client %s.

				Print all bytes of the answer, its spaces too.`,
				wire.Show(line.typed), wire.Show(line.answer), client)
		}
	})
	program.Test(e, "a long answer, then a short one", func(t *program.T) {
		listener := t.Listen()
		client := t.Start()
		server := listener.Accept(client)

		for _, answer := range []string{"the answer to one", "TWO"} {
			client.Type("hello\n")
			server.Receive(5)
			server.Send(answer)
			client.Shows(answer)
		}

		require.NotContains(t, client.Stdout(), "TWO answer", `
			The client printed "TWO answer to one" where the server had answered "TWO".

			Read writes to the beginning of the buffer and leaves the rest as it was. The bytes
			after the first n belong to the answer before.`)
		require.Equal(t, 1, strings.Count(client.Stdout(), "the answer to one"), `
			With the second answer the client printed the first one again.

			Each Read returns new bytes. Print those, string(buf[:n]), and nothing of the answers
			before.`)
	})
	program.Test(e, "two lines, typed before the first answer", func(t *program.T) {
		listener := t.Listen()
		client := t.Start()
		server := listener.Accept(client)

		client.Type("four\nfive\n")
		messages := server.Receive(4)
		if messages == "four" {
			server.Send("4")
			messages += server.Receive(4)
		}

		require.Equalf(t, "fourfive", messages, `
			"four" and "five" were typed, and the client sent %s. The client %s.

			A bufio.Reader takes more from the input than it returns. If you make one for each
			line, the rest is lost with it.`, wire.Show(messages), client)
	})
}

func Test05_QuitsOnQ(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#5-quit-on-q", "main.go")
	program.Test(e, "lines that aren't q alone", func(t *program.T) {
		listener := t.Listen()
		client := t.Start()
		server := listener.Accept(client)

		for _, line := range []string{"quiz", " q ", "Qq", "q ", " q", "\tQ"} {
			client.Type(line + "\n")
			message := server.Receive(len(line))

			require.Equalf(t, line, message, `
				%q was typed, and the client sent %s. The client %s.

				Only q or Q alone on its line means quit. Any other line is a message.`,
				line+"\n", wire.Show(message), client)
			server.Send(line)
			client.Shows(line)
		}
	})
	for _, line := range []struct{ typed, why string }{
		{"q\n", "A break inside a switch leaves only the switch: return from main."},
		{"Q\n", "Q means quit as well."},
		{"q\r\n", `On Windows a line ends with \r\n, and then it also means quit.`},
		{"Q\r\n", `On Windows a line ends with \r\n, and then it also means quit.`},
	} {
		program.Test(e, wire.Show(line.typed)+" is typed", func(t *program.T) {
			client, server := t.AnsweredClient("hello")

			client.Type(line.typed)
			message, ended := server.Rest()

			require.Falsef(t, message != "" && ended, `
				The client sent %s to the server, and then ended the connection.

				Compare the line before you write it.`, wire.Show(message))
			require.Emptyf(t, message, `
				The client sent %s to the server.

				Compare the line without its ending. %s`, wire.Show(message), line.why)
			require.True(t, ended, `
				The client didn't close its connection.

				At q, return from main: that ends the connection, and so the server knows that the
				client has gone. A break inside a switch leaves only the switch.`)
			require.True(t, client.Ended(), `
				The client closed its connection, but it kept running.

				A client without a connection has nothing left to do: return from main. A break
				inside a switch leaves only the switch.`)
			require.Falsef(t, client.Crashed(), `
				The client didn't quit cleanly: it %s.

				A panic is for bugs in a program. To quit, return from main.`, client)
			require.False(t, server.WasReset(), `
				The server got a reset from the client instead of a clean end.

				Close ends a connection cleanly, unless bytes are unread or SetLinger(0) was
				called. Messages that are still in flight can get lost in a reset.`)
		})
	}
	program.Test(e, "four lines and q, all at once", func(t *program.T) {
		client, server := t.AnsweredClient("hello")

		client.Type("one\ntwo\nsix\nten\nq\n")
		messages := ""
		for range 4 {
			message := server.Receive(3)
			if message == "" {
				break
			}
			messages += message
			server.Send("the answer to " + message)
		}

		require.Equalf(t, "onetwosixten", messages, `
			Four lines and q were typed at once, and the client sent %s. The client %s.

			q comes after the other lines: the client must send those first. If one goroutine reads
			the input and another one sends, only the one that sends knows when q's turn has come.`,
			wire.Show(messages), client)
	})
}

func Test06_ExitsWhenTheServerGoesAway(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#6-exit-when-the-server-goes-away", "main.go")
	program.Test(e, "a server that closes the connection", func(t *program.T) {
		client, server := t.AnsweredClient("good evening")
		client.ComesToRest() // it has printed everything
		known := client.Output()

		server.Close()
		client.ComesToRest() // it may have noticed
		client.Type("hello\n")

		require.NotContains(t, known, "<nil>", `
			All was well, and the client printed an error that's nil.

			<nil> means no error. Look at err first: print it only if it isn't nil.`)
		require.True(t, client.Ended(), `
			The server closed the connection, and after one more line the client kept running.

			No more answers can come, and Read returns an error. Print it and return from main,
			whichever error it is. A return in another goroutine ends only that one.`)
		require.Falsef(t, client.Crashed(), `
			The server closed the connection. The client %s.

			A panic is for bugs in a program. A server that goes away isn't one.`, client)
		require.True(t, client.SaysOther(known), `
			The server closed the connection, and the client printed nothing about it.

			Print the error: the person at the keyboard is waiting for an answer.`)
	})
	program.Test(e, "a server that resets the connection", func(t *program.T) {
		client, server := t.AnsweredClient("good evening")
		client.ComesToRest() // it has printed everything
		known := client.Output()
		client.Type("hello again\n")
		server.Receive(11)

		server.Reset() // while the client waits in Read
		client.ComesToRest()
		client.Type("hello\n")

		require.True(t, client.Ended(), `
			The server reset the connection, and after one more line the client kept running.

			io.EOF isn't the only end. At every error from Read, print it and return from main.`)
		require.Falsef(t, client.Crashed(), `
			The server reset the connection. The client %s.

			A panic is for bugs in a program. A server that goes away isn't one.`, client)
		require.True(t, client.SaysOther(known), `
			The server reset the connection, and the client printed nothing about it.

			io.EOF isn't the only end. At every error from Read, print it and return from main.`)
	})
	program.Test(e, "a server that stays, and no line is typed", func(t *program.T) {
		client, _ := t.AnsweredClient("good evening")

		rests := client.ComesToRest()

		require.Truef(t, rests, `
			The client got an answer. Then it had nothing to do, but it kept a CPU busy. It %s.

			With nothing to do, a client waits for a line or in Read. A select with a default case
			never waits, and neither does a loop that goes on after an error.`, client)
	})
}

func Test07_ReportsThatNoServerIsListening(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#7-report-that-no-server-is-listening", "main.go")
	program.Test(e, "no server listens", func(t *program.T) {
		listener := t.Listen()
		good := t.Start() // while a server listens
		listener.Accept(good)
		good.Type("q\n")
		good.Ended()
		good.Stop()
		listener.Close() // now none does

		client := t.Start()

		require.True(t, client.Ended(), `
			Dial failed, and a second later the client was still running.

			Without a server it can do nothing. It must print the error and end.`)
		require.Falsef(t, client.Crashed(), `
			Dial failed. The client %s.

			When Dial returns an error, the connection is nil. Print the error and return: don't
			panic, and don't use the connection.`, client)
		require.True(t, client.Says(), `
			Dial failed, and the client printed nothing.

			Print the error: it says that the connection was refused.`)
		require.Truef(t, client.SaysOther(good.Output()), `
			Dial failed, and the client printed only what it prints when nothing is wrong: %q.

			Print the error: it says that the connection was refused.`, client.Output())
	})
}
