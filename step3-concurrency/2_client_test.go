package main

import (
	"strings"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program"
	"example.com/tcp-steps/internal/wire"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// start has run talk to a server, which is the test, with a keyboard and a screen.
func start(t *wire.T) (keyboard *wire.Keyboard, screen *wire.Screen, server *wire.Peer, running *wire.Task) {
	server, conn := t.Server()
	keyboard, screen = t.Keyboard(), t.Screen()
	return keyboard, screen, server, t.Call(func() error { return run(conn, keyboard, screen) })
}

func Test13_PrintsWhatArrivesWhenItArrives(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#13-print-what-arrives-when-it-arrives")
	wire.Test(e, func(t *wire.T) {
		keyboard, screen, server, running := start(t)

		server.Send("welcome")
		require.Truef(t, screen.Shows("welcome"), "the server has said something before anything was typed, and it is not on the screen; as for run, %s. Either "+
			"nobody reads from the connection while the client waits for the keyboard, or what was read is kept back, until a line, a buffer or the connection is complete, or it was printed to os.Stdout and not to out: then it "+
			"stands below, as what the program printed", running)

		keyboard.Type(" hello\t\r\n")
		message := server.Receive()
		require.Equalf(t, " hello\t", message, "%q was typed, and %s was sent; as for run, %s. A line is sent without its ending, and with all its blanks", " hello\t\r\n", wire.Show(message), running)
		server.Send("hel")
		t.Wait()
		server.Send("lo, you")
		require.True(t, screen.Shows("lo, you"), "an answer came in two parts, and the second one is not on the screen: the client waits for the keyboard, and shows it with the answer to the "+
			"next line, which from then on is always one behind")

		keyboard.Type("one\ntwo\n")
		messages := server.Receive()
		require.Equalf(t, "onetwo", messages, "two lines were typed, nothing was answered yet, and %s was sent: a line is sent when it is typed", wire.Show(messages))
		server.Send("1", "2")
		long := strings.Repeat("0123456789", 60)
		server.Send(long)
		require.Truef(t, t.Until(func() bool { return strings.Contains(withoutLineEnds(screen.Text()), long) }), "an answer of %d bytes came, and not all of it is on the screen: what "+
			"does not fit into the buffer stays in the connection, for the next Read", len(long))
		require.Equal(t, "welcomehello, you12"+long, withoutLineEnds(screen.Text()), "the screen shows something that the server has not sent, or shows it twice: what Read "+
			"has filled are the first n bytes of the buffer, and behind them is what was there before")
	})
	e.AgainUnderRace()
}

// withoutLineEnds returns what was printed in one line: where a line ends is for the client to say.
func withoutLineEnds(text string) string {
	return strings.NewReplacer("\n", "", "\r", "").Replace(text)
}

func Test14_ContinuesAfterAnEmptyLine(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#14-continue-after-an-empty-line")
	wire.Test(e, func(t *wire.T) {
		keyboard, screen, server, running := start(t)

		keyboard.Type("\n")
		keyboard.Type("\r\n")
		keyboard.Type("hello\n")
		message := server.Receive()

		require.False(t, message == "" && server.Ended(), "two empty lines were typed, and the client has sent the end of its half of the connection: an empty line is not the end of the input")
		require.Equalf(t, "hello", message, "two empty lines were typed, then %q, and %s was sent; as for run, %s. An empty line is no byte on the wire, so there is "+
			"no answer to wait for", "hello", wire.Show(message), running)
		server.Send("hello")
		require.True(t, screen.Shows("hello"), "two empty lines were typed, then a word, and the answer to it is not on the screen")
	})
}

func Test15_SendsTheLastLine(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#15-send-the-last-line")
	wire.Test(e, func(t *wire.T) {
		keyboard, screen, server, running := start(t)

		keyboard.Type("one\ntwo") // as a file may end
		keyboard.End()
		messages := server.Receive()

		require.Equalf(t, "onetwo", messages, "the input was %q, and %s was sent; as for run, %s. ReadString returns the last line together with io.EOF", "one\ntwo",
			wire.Show(messages), running)
		require.True(t, server.Ended(), "the input has ended, and the server does not learn of it: it waits for more, and so does whoever waits for the server. CloseWrite ends the "+
			"client's half of the connection")
		require.False(t, running.Returned(), "the input has ended, the server has not answered yet, and run has returned: nobody is there to print its answers")

		server.Send("1")
		time.Sleep(time.Minute)
		server.Send("2")
		server.Close()
		require.Equalf(t, "12", withoutLineEnds(screen.Text()), "the input has ended, and the answers came after that, one of them a minute later: on the screen is %s", wire.Show(screen.Text()))
		require.Truef(t, running.Returned() && running.Err() == nil, "the input has ended, all answers have been printed, the server has closed the connection, and as for run, %s. That is "+
			"a good end, for which it returns nil", running)
		require.True(t, server.Closed(), "run has returned, and its connection is still open")
	})
	wire.Test(e, func(t *wire.T) {
		keyboard, _, server, running := start(t)
		keyboard.End() // with no line at all
		require.Empty(t, server.Receive(), "the input has ended before anything was typed, and something was sent")
		require.Truef(t, server.Ended(), "the input has ended before anything was typed, and the server does not learn of it; as for run, %s", running)
		server.Reset()
		require.Truef(t, running.Returned() && running.Err() != nil, "the input has ended, then the server has reset the connection, and as for run, %s. A reset is an error at any "+
			"time, for nobody knows which answers it has destroyed: the good end is io.EOF alone", running)
	})
}

func Test16_NoticesWhenTheServerGoesAway(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#16-notice-when-the-server-goes-away")
	for _, gone := range []struct {
		words string
		leave func(server *wire.Peer)
	}{
		{"closed the connection", (*wire.Peer).Close},
		{"reset the connection", (*wire.Peer).Reset},
	} {
		wire.Test(e, func(t *wire.T) {
			keyboard, screen, server, running := start(t)
			keyboard.Type("hello\n")
			server.Receive()
			server.Send("hello")
			require.Truef(t, screen.Shows("hello"), "the server has answered, and the answer is not on the screen; as for run, %s", running)

			gone.leave(server)

			require.Truef(t, running.Returned(), "the server has %s, nothing is typed, and run has not returned: it waits for the keyboard, and would notice with the next line. "+
				"Somebody must read from the connection meanwhile, and run must end with whichever of the two ends first", gone.words)
			require.Errorf(t, running.Err(), "the server has %s while the client wanted to go on, and run has returned nil: its caller takes that for a good end", gone.words)
			require.Truef(t, server.Closed(), "the server has %s, run has returned, and the client's end is still open", gone.words)
		})
	}

	listener := program.ListenAnywhere(e)
	client := program.Start(e, "-addr", listener.Addr())
	server := listener.Accept(client)
	server.Close()
	require.True(e, client.Ended(), "the server has closed the connection, nothing is typed, and a second later the program is still running")
	require.Equalf(e, 1, client.ExitStatus(), "the server has closed the connection, and as for the client, %s. Whatever has started the program knows by a status other than 0 that "+
		"it has failed; asked for is 1, by convention", client)
	require.NotEmpty(e, client.Stderr(), "the server has closed the connection, and the program has printed nothing to its standard error, which is where it says what went wrong")
}

func Test17_QuitsOnQ(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#17-quit-on-q")
	for _, line := range []string{"q\n", "Q\r\n", "q"} {
		wire.Test(e, func(t *wire.T) {
			keyboard, _, server, running := start(t)
			keyboard.Type("quiz\n")
			keyboard.Type(" q \n")
			message := server.Receive()
			require.Equalf(t, "quiz q ", message, "%q and %q were typed, and neither is q alone, and %s was sent; as for run, %s", "quiz\n", " q \n", wire.Show(message), running)

			keyboard.Type(line)
			if line == "q" {
				keyboard.End()
			}

			require.Emptyf(t, server.Receive(), "%q was typed, and something was sent to the server: it is a word to the client itself", line)
			require.Truef(t, running.Returned(), "%q was typed, and run has not returned: whoever wants to go does not wait for a server that does not answer", line)
			require.NoErrorf(t, running.Err(), "%q was typed, and run has returned an error. To quit is a good end, for which it returns nil", line)
			require.Truef(t, server.Closed(), "%q was typed, run has returned, and the connection is still open: the server cannot know that the client has gone", line)
		})
	}
}

func Test18_SaysSoWhenNoServerIsListening(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#18-say-so-when-no-server-is-listening")

	client := program.Start(e) // at the document's address, where nobody listens

	require.True(e, client.Ended(), "nobody listens on port 20000, so Dial has failed, and a second later the client is still running")
	require.Equalf(e, 1, client.ExitStatus(), "nobody listens on port 20000, and as for the client, %s. Whatever has started the program knows by a status other than 0 that it has failed; "+
		"asked for is 1, by convention", client)
	require.Empty(e, client.Stdout(), "nobody listens on port 20000, and the client has said so on its standard output: whoever writes that into a file finds the error there, among the answers")
	require.NotEmpty(e, client.Stderr(), "nobody listens on port 20000, and the client has printed nothing to its standard error, which is where a program says what is wrong")
}
