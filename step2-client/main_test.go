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
	listener := program.Listen(e)

	client := program.Start(e)

	listener.Accept(client)
}

func Test02_SendsWhatIsTyped(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#2-send-what-is-typed", "main.go")
	listener := program.Listen(e)
	for _, ending := range []string{"\n", "\r\n"} {
		client := program.Start(e)
		server := listener.Accept(client)

		client.Type(" hello  there" + ending)
		message := server.Receive(13)
		message += server.Surplus()

		require.Falsef(e, message == "" && listener.HasAnother(), "a line was typed, and the client opened another connection to send it: one connection carries "+
			"all the messages, as long as it lasts")
		if message == "" {
			client.CloseInput()
			require.NotEqual(e, " hello  there", server.ReceiveSoon(13), "the line was sent only when nothing more could be typed: the client reads all of its "+
				"input before it sends any of it (io.ReadAll does)")
		}
		require.NotEqualf(e, " hello  there"+ending, message, "%q was typed, and just that was sent: but the line ending only says where the line ends "+
			"at the keyboard, and is not part of the message", " hello  there"+ending)
		require.Equalf(e, " hello  there", message, "%q was typed, and %s was sent; as for the client, %s. The message is the line without its ending (%q or %q), with all its spaces",
			" hello  there"+ending, wire.Show(message), client, "\n", "\r\n")
		client.Stop()
	}
}

func Test03_ShowsTheAnswer(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#3-show-the-answer", "main.go")
	listener := program.Listen(e)
	client := program.Start(e)
	server := listener.Accept(client)

	client.Type("hello\n")
	require.NotEmptyf(e, server.Receive(5), "a line was typed, and nothing reached the server; as for the client, %s", client)
	server.Send("good evening")

	shown := client.Shows("good evening")
	require.NotContains(e, client.Stdout(), "[103 111 111 100", "the client shows the answer as a list of numbers, which is how a []byte is printed: "+
		"string(…) makes it text")
	require.Falsef(e, !shown && strings.Contains(client.Output(), "good evening"), "the client printed %q, but to its standard error, where log and println "+
		"write: what a program is there to show goes to its standard output, as fmt.Println has it", "good evening")
	require.Falsef(e, !shown && strings.Contains(client.Stdout(), "hello"), "the client printed what was typed, %q, and not what the server answered, %q", "hello", "good evening")
	if !shown {
		server.CloseWrite()
		require.False(e, client.Shows("good evening"), "the answer was shown only when the server had promised to send no more: the client waits for the end of the connection "+
			"(io.ReadAll and io.Copy do), or for a newline (ReadString and Scan do); but a server that goes on sends neither")
	}
	require.Truef(e, shown, "the server answered %q, and the client's standard output does not contain it; as for the client, %s", "good evening", client)
	require.NotContains(e, client.Stdout(), "\x00", "behind the answer the client printed bytes of value 0 that nobody sent: what lies behind n in the buffer "+
		"is no part of the answer (a terminal hides them, a file does not)")
}

func Test04_SendsLineAfterLine(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#4-send-line-after-line", "main.go")
	listener := program.Listen(e)
	client := program.Start(e)
	server := listener.Accept(client)

	for i, line := range []struct{ typed, answer string }{
		{"one", "the answer to one"},
		{"two", "TWO"},
		{"three", "three it is"},
	} {
		client.Type(line.typed + "\n")
		message := server.Receive(len(line.typed))
		require.Falsef(e, message == "" && listener.HasAnother(), "line %d was typed, and the client opened another connection to send it: one connection carries "+
			"all the messages, as long as it lasts", i+1)
		require.Equalf(e, line.typed, message, "line %d was typed, %q, and %s was sent; as for the client, %s. A client goes on, on the same connection, "+
			"until it is told to quit", i+1, line.typed, wire.Show(message), client)

		server.Send(line.answer)
		require.Truef(e, client.Shows(line.answer), "the answer to line %d, %q, is not on the client's standard output; as for the client, %s", i+1, line.answer, client)
	}

	client.Type("four\nfive\n") // faster than the server answers
	messages := server.Receive(4)
	if messages == "four" {
		server.Send("4")
		messages += server.Receive(4)
	}
	require.Equalf(e, "fourfive", messages, "two lines were typed before the first one was answered, and %s was sent: a bufio.Reader takes more than it "+
		"returns, and when it is thrown away, that is lost. Make it once, before the loop", wire.Show(messages))
	require.NotContains(e, client.Stdout(), "TWO answer", "the client printed %q where the server had answered %q: bytes behind n belong to the previous answer", "TWO answer to one", "TWO")
}

func Test05_QuitsOnQ(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#5-quit-on-q", "main.go")
	listener := program.Listen(e)
	for _, line := range []string{"q\n", "Q\n", "q\r\n"} {
		client := program.Start(e)
		server := listener.Accept(client)
		for _, word := range []string{"quiz", " q "} {
			client.Type(word + "\n")
			message := server.Receive(len(word))
			require.Equalf(e, word, message, "%q was typed, which is not q alone, and %s was sent; as for the client, %s", word+"\n", wire.Show(message), client)
			server.Send(word)
		}

		client.Type(line)
		message, ended := server.Rest()

		require.Emptyf(e, message, "%q was typed, and the client sent %s to the server: it is a word to the client itself", line, wire.Show(message))
		require.Truef(e, ended, "%q was typed, and the connection is still open: the server cannot know that the client has gone", line)
		require.Truef(e, client.Ended(), "%q was typed, the connection is closed, and the program is still running", line)
		require.Falsef(e, client.Crashed(), "%q was typed, and the program did not quit: %s", line, client)
		client.Stop()
	}
}

func Test06_ExitsWhenTheServerGoesAway(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#6-exit-when-the-server-goes-away", "main.go")
	listener := program.Listen(e)
	client := program.Start(e)
	server := listener.Accept(client)

	server.Close()
	client.Type("is anybody there?\n")

	require.True(e, client.Ended(), "the server has closed the connection, and after one more line the client is still running: Read has returned an error, io.EOF, "+
		"and will return it again each time. No answer can come any more")
	require.Falsef(e, client.Crashed(), "the server has closed the connection, and as for the client, %s. A panic is for mistakes in a program; "+
		"a server that goes away is none", client)
	require.True(e, client.Says(), "the server has closed the connection, and the client ended without a word: whoever typed the line waits for an answer, and should "+
		"be told that none will come")
}

func Test07_SaysSoWhenNoServerIsListening(t *testing.T) {
	e := lesson.Start(t, "docs/2-client.md#7-say-so-when-no-server-is-listening", "main.go")

	client := program.Start(e) // nobody listens

	require.True(e, client.Ended(), "nobody listens on port 20000, so Dial has failed, and a second later the client is still running: there is nobody to talk to")
	require.Falsef(e, client.Crashed(), "nobody listens on port 20000, so Dial has returned an error, and nil instead of a connection; as for the client, %s. "+
		"Print the error and return, before anything uses the connection", client)
	require.True(e, client.Says(), "nobody listens on port 20000, so Dial has failed, and the client ended without a word: whoever started it should be told why")
}
