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

			require.Falsef(t, message == "" && listener.HasAnother(), `
				The client opened a second connection to send what was typed.

				One connection carries all messages, as long as it lasts.`)
			if message == "" {
				client.CloseInput()
				require.NotEqual(t, text, server.ReceiveSoon(len(text)), `
					The client sent the line only when its input had ended.

					It reads all of its input before it sends any of it, as io.ReadAll does.`)
			}
			require.NotEqualf(t, text+line.ending, message, `
				%q was typed, and the client sent it with its ending.

				The ending says where the line ends at the keyboard. It isn't part of the message.`,
				text+line.ending)
			require.Equalf(t, text, message, `
				%q was typed, and the client sent %s. The client: %s.

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
			"hello\n" was typed, and the client sent nothing. The client: %s.`, client)
		server.Send("good evening")
		shown := client.Shows("good evening")

		require.NotContains(t, client.Stdout(), "[103 111 111 100", `
			The client printed the answer as a list of numbers.

			That's how Println prints a []byte. string(…) makes it text.`)
		require.Falsef(t, !shown && strings.Contains(client.Output(), "good evening"), `
			The client printed the answer to its standard error.

			log and the built-in println write there. Results go to standard output, where
			fmt.Println writes.`)
		require.Falsef(t, !shown && strings.Contains(client.Stdout(), "hello"), `
			The client printed %q, which was typed, instead of the server's answer, %q.`,
			"hello", "good evening")
		if !shown {
			awaited := server.Awaited(func() bool {
				return strings.Contains(client.Stdout(), "good evening")
			})
			require.Emptyf(t, awaited, `
				The server answered, and the client showed the answer only after %s.

				ReadString and Scan wait for a newline, io.ReadFull for a full buffer, io.ReadAll
				for the end of the connection. Read returns what has arrived.`, awaited)
		}
		require.Truef(t, shown, `
			The server answered %q, but the client's standard output doesn't contain it. The
			client: %s.`, "good evening", client)
		require.NotContains(t, client.Stdout(), "\x00", `
			Behind the answer the client printed bytes of value 0 that the server didn't send.

			What lies behind n in the buffer isn't part of the answer. A terminal hides these
			bytes, a file doesn't.`)
	})
}

func Test04_SendsLineAfterLine(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#4-send-line-after-line", "main.go")
	program.Test(e, "lines and answers of all kinds", func(t *program.T) {
		listener := t.Listen()
		client := t.Start()
		server := listener.Accept(client)

		for _, line := range []struct{ typed, answer string }{
			{"one", "the answer to one"},
			{"two", "TWO"},
			{"\t100%d\xff\x00\r. ", "100%d"},
			{"你好 \xe5", "你好"},
			{strings.Repeat("3", 128), strings.Repeat("e", 128)},
			{strings.Repeat("4", 512), strings.Repeat("r", 512)},
		} {
			client.Type(line.typed + "\n")
			message := server.Receive(len(line.typed))
			require.Falsef(t, message == "" && listener.HasAnother(), `
				The client opened a second connection to send %s.

				One connection carries all messages, as long as it lasts.`, wire.Show(line.typed))
			require.NotEmptyf(t, message, `
				%s was typed, and the client sent nothing. The client: %s.

				A client sends line after line, on the same connection, until it's told to quit.`,
				wire.Show(line.typed), client)
			require.Equalf(t, line.typed, message, `
				%s was typed, and the client sent %s.

				The message is the line without its ending, with all its other bytes.`,
				wire.Show(line.typed), wire.Show(message))

			server.Send(line.answer)
			require.Truef(t, client.Shows(line.answer), `
				The answer to %s was %s, but the client's standard output doesn't contain it. The
				client: %s.`, wire.Show(line.typed), wire.Show(line.answer), client)
		}
		require.NotContains(t, client.Stdout(), "TWO answer", `
			The client printed "TWO answer to one" where the server had answered "TWO".

			Read writes to the beginning of the buffer. The bytes behind n belong to the answer
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
			"four" and "five" were typed, and the client sent %s. The client: %s.

			A bufio.Reader takes more than it returns. When you throw it away, the rest is lost.
			Make it once, before the loop.`, wire.Show(messages), client)
	})
}

func Test05_QuitsOnQ(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#5-quit-on-q", "main.go")
	program.Test(e, "lines that aren't q alone", func(t *program.T) {
		listener := t.Listen()
		client := t.Start()
		server := listener.Accept(client)

		for _, line := range []string{"quiz", " q ", "Qq"} {
			client.Type(line + "\n")
			message := server.Receive(len(line))

			require.Equalf(t, line, message, `
				%q was typed, and the client sent %s. The client: %s.

				Only q or Q alone on its line is a word to the client itself.`,
				line+"\n", wire.Show(message), client)
			server.Send(line)
			client.Shows(line)
		}
	})
	for _, line := range []string{"q\n", "Q\n", "q\r\n"} {
		program.Test(e, wire.Show(line)+" is typed", func(t *program.T) {
			listener := t.Listen()
			client := t.Start()
			server := listener.Accept(client)
			client.Type("hello\n")
			server.Receive(5)
			server.Send("hello")
			client.Shows("hello")

			client.Type(line)
			message, ended := server.Rest()

			require.Emptyf(t, message, `
				The client sent %s to the server.

				q alone is a word to the client itself, not a message.`, wire.Show(message))
			require.True(t, ended, `
				The client's connection is still open.

				The end of the connection is how the server learns that the client has gone.`)
			require.True(t, client.Ended(), `
				The client closed its connection, but it's still running.`)
			require.Falsef(t, client.Crashed(), `
				The client ended, but it didn't quit: %s.

				A panic ends a program as a failure.`, client)
			require.False(t, server.WasReset(), `
				The server got a reset from the client instead of a clean end.

				Close ends a connection cleanly, unless bytes are unread or SetLinger(0) was
				called. A reset can destroy messages that are still in flight.`)
		})
	}
}

func Test06_ExitsWhenTheServerGoesAway(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#6-exit-when-the-server-goes-away", "main.go")
	program.Test(e, "a server that closes the connection", func(t *program.T) {
		listener := t.Listen()
		client := t.Start()
		server := listener.Accept(client)
		client.Type("hello\n")
		server.Receive(5)
		server.Send("good evening")
		client.Shows("good evening")
		known := client.Output()

		server.Close()
		client.Type("hello\n")

		require.True(t, client.Ended(), `
			The server closed the connection, and after one more line the client is still running.

			No answer can come any more. Read says so, by an error: io.EOF.`)
		require.Falsef(t, client.Crashed(), `
			The server closed the connection. The client: %s.

			A panic is for bugs in a program. A server that goes away isn't one.`, client)
		require.Truef(t, client.SaysOther(known), `
			The server closed the connection, and the client ended without a word about it.

			Print the error: the person at the keyboard waits for an answer.`)
	})
}

func Test07_SaysSoWhenNoServerIsListening(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#7-say-so-when-no-server-is-listening", "main.go")
	program.Test(e, "no server", func(t *program.T) {
		listener := t.Listen()
		good := t.Start() // while a server listens
		listener.Accept(good)
		good.Stop()
		listener.Close() // now none does

		client := t.Start()

		require.True(t, client.Ended(), `
			Dial failed, and a second later the client is still running.

			There's no server to talk to.`)
		require.Falsef(t, client.Crashed(), `
			Dial failed. The client: %s.

			Where Dial returns an error, it returns nil instead of a connection. Print the error
			and return before anything uses the connection.`, client)
		require.True(t, client.Says(), `
			Dial failed, and the client ended without a word.

			Print the error: it says that the connection was refused.`)
		require.Truef(t, client.SaysOther(good.Output()), `
			Dial failed, and the client printed only what it prints when nothing is wrong: %q.

			Print the error: it says that the connection was refused.`, client.Output())
	})
}
