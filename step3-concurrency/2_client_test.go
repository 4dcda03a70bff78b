package echo_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program"
	"example.com/tcp-steps/internal/wire"
	echo "example.com/tcp-steps/step3-concurrency"
	"github.com/stretchr/testify/require"
)

// shown returns what the screen shows, without line ends: where a line ends on
// the screen is for the client to choose.
func shown(screen *wire.Screen) string {
	return strings.NewReplacer("\n", "", "\r", "").Replace(screen.Text())
}

func Test13_PrintsWhatArrivesWhenItArrives(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#13-print-what-arrives-when-it-arrives", "client.go")
	wire.Test(e, "a server that speaks first", welcomeIsPrinted)
	wire.Test(e, "two lines before any answer", linesAreSentUnanswered)
	wire.Test(e, "lines with spaces, signs and bytes of every kind", linesAreSentUnchanged)
	wire.Test(e, "an answer in three pieces", allPiecesArePrinted)
	wire.Test(e, "answers with bytes of every kind", answersArePrintedUnchanged)
	wire.Test(e, "an answer that ends with empty lines", lineEndsArePrinted)
	wire.Test(e, "a server that reads nothing, but speaks", answersDuringAWriteArePrinted)
	for _, size := range []int{511, 512, 513, 600, 1024, 4096, 5000} {
		wire.Test(e, fmt.Sprintf("an answer of %d bytes in one piece", size), func(t *wire.T) {
			longAnswerIsPrinted(t, size)
		})
	}
	e.AgainUnderRace()
}

func welcomeIsPrinted(t *wire.T) {
	_, screen, server, running := t.RunClient(echo.Run)

	server.Send("welcome")

	require.Truef(t, screen.Shows("welcome"), `
		The server sent "welcome" before anything was typed, but the screen didn't show it.
		Run %s.

		If the picture says "7 bytes unread", Run must read from the connection while it waits for
		the keyboard. Otherwise print at once what Read returns, to out, not to os.Stdout. Don't
		wait for the end of a line, of a buffer or of the connection.`, running)
	require.Equalf(t, "welcome", shown(screen), `
		The server sent "welcome", and the screen showed %s.

		Print the n bytes that Read has put into the buffer and nothing else. The bytes after them
		weren't sent, and words of your own look like the server's.`,
		wire.Show(screen.Text()))
}

func linesAreSentUnanswered(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)

	keyboard.Type("one\ntwo\n")

	sent := server.Receive()
	require.Equalf(t, "onetwo", sent, `
		"one\ntwo\n" was typed, nothing was answered yet, and %s was sent instead of "onetwo".
		Run %s.

		Each line is sent as soon as it's typed, without its ending (\n or \r\n), even if the one
		before wasn't answered yet. One Read of the keyboard may return several lines: a
		bufio.Reader that's made anew for each line loses the rest.`, wire.Show(sent), running)
}

func linesAreSentUnchanged(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)
	for _, line := range []struct{ typed, message string }{
		{"hello\n", "hello"},
		{" hello\t\r\n", " hello\t"},
		{"   \n", "   "},
		{"100%d\n", "100%d"},
		{"a\x00b\x00\n", "a\x00b\x00"},
		{"你好\n", "你好"},
		{"\xff\xfe\x80\n", "\xff\xfe\x80"},
	} {
		keyboard.Type(line.typed)

		sent := server.Receive()
		require.Equalf(t, line.message, sent, `
			%s was typed, and %s was sent. Run %s.

			A line is sent as soon as it's typed, without its ending (\n or \r\n), and
			otherwise byte for byte.`, wire.Show(line.typed), wire.Show(sent), running)
	}
}

func allPiecesArePrinted(t *wire.T) {
	keyboard, screen, server, _ := t.RunClient(echo.Run)
	keyboard.Type("hello\n")
	server.Receive()

	for _, piece := range []string{"hel", "lo,", "you"} {
		server.Send(piece)
		t.Wait()
	}

	require.Equalf(t, "hello,you", shown(screen), `
		The answer came as "hel", "lo," and "you". The screen showed %s.

		A Read returns what has arrived, which may be a part of the answer. If Run reads once
		per line, it shows the rest after the next line, and is behind from then on.`,
		wire.Show(screen.Text()))
}

func answersArePrintedUnchanged(t *wire.T) {
	_, screen, server, running := t.RunClient(echo.Run)
	for _, pieces := range [][]string{
		{" both ends \t"},
		{"100%d"},
		{"a\x00b\x00"},
		{"\xe4\xbd", "\xa0\xe5", "\xa5\xbd"}, // 你好, each character cut in two
		{"\xff\xfe\x80"},
	} {
		before, answer := shown(screen), strings.Join(pieces, "")

		server.Send(pieces...)

		t.Until(func() bool { return shown(screen) == before+answer })
		printed := strings.TrimPrefix(shown(screen), before)
		require.Equalf(t, answer, printed, `
			The server sent %s, and %s was printed. Run %s.

			Print what arrives byte for byte: it isn't a format, and a piece may begin or end
			within a character.`,
			inPieces(pieces), wire.Show(printed), running)
	}
}

func lineEndsArePrinted(t *wire.T) {
	_, screen, server, _ := t.RunClient(echo.Run)
	for _, answer := range []string{"verse\n\n\n", "chorus\r\n\r\n"} {
		before := len(screen.Text())

		server.Send(answer)

		require.Truef(t, screen.Shows(strings.TrimSpace(answer)), `
			The server sent %q, but the screen didn't show it.`, answer)
		printed := screen.Text()[before:]
		require.Containsf(t, printed, answer, `
			The server sent %q, and the screen showed %s.

			Line ends are bytes of the answer, like all others.`, answer, wire.Show(printed))
	}
}

func answersDuringAWriteArePrinted(t *wire.T) {
	keyboard, screen, server, running := t.RunClient(echo.Run)
	server.Hold(0)
	keyboard.Type("hello\n")
	t.Wait() // the client waits in Write

	server.Send("news")

	require.Truef(t, screen.Shows("news"), `
		The client was waiting in Write, because the server read nothing. Then the server sent
		"news", and the screen didn't show it. Run %s.

		One goroutine must call Write, and another one Read and print. If a single loop does both,
		a client and a server that both write wait for each other forever.`, running)
}

// inPieces returns the pieces in words: "a", then "b".
func inPieces(pieces []string) string {
	var words []string
	for _, piece := range pieces {
		words = append(words, wire.Show(piece))
	}
	return strings.Join(words, ", then ")
}

func longAnswerIsPrinted(t *wire.T, size int) {
	_, screen, server, _ := t.RunClient(echo.Run)
	answer := strings.Repeat("0123456789", 500)[:size]

	server.Send(answer)

	t.Until(func() bool { return shown(screen) == answer })
	printed := shown(screen)
	require.Equalf(t, answer, printed, `
		The screen showed %s.

		A Read returns at most what fits into its buffer, and the next Read returns the rest. Print
		what each returns at once, and nothing else. A bufio.Reader that's made anew for each Read
		loses its rest.`, wire.Show(printed))
}

func Test14_ContinuesAfterAnEmptyLine(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#14-continue-after-an-empty-line", "client.go")
	wire.Test(e, "two empty lines, then a word", func(t *wire.T) {
		keyboard, screen, server, running := t.RunClient(echo.Run)

		keyboard.Type("\n", "\r\n", "hello\n")
		sent := server.Receive()

		require.Falsef(t, sent == "" && server.Ended(), `
			Nothing was sent, and the client ended its half of the connection. Run %s.

			An empty line isn't the end of the input.`, running)
		require.Equalf(t, "hello", sent, `
			"\n", "\r\n" and "hello\n" were typed, and %s was sent. Run %s.

			An empty line sends no bytes. So the server has nothing to answer, and the client
			has nothing to wait for.`, wire.Show(sent), running)
		server.Send("hello")
		require.Truef(t, screen.Shows("hello"), `
			The server answered "hello", and the screen showed %s. Run %s.

			Print each answer as soon as it arrives.`, wire.Show(screen.Text()), running)
	})
}

func Test15_SendsTheLastLine(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#15-send-the-last-line", "client.go")
	wire.Test(e, "a last line without a newline", lastLineIsSent)
	wire.Test(e, "answers after the end of the input", lateAnswersArePrinted)
	wire.Test(e, "an input without a line", emptyInputEndsToo)
	wire.Test(e, "a reset after the end of the input", lateResetIsAnError)
	wire.Test(e, "a server that closes while CloseWrite is still running", fastServerIsAGoodEnd)
	wire.Test(e, "a connection without CloseWrite", connectionIsClosedInstead)
	wire.Test(e, "a server that closes just when the input ends",
		func(t *wire.T) { t.EndBothSides(echo.Run) })
	e.AgainUnderRace()
}

func lastLineIsSent(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)

	keyboard.TypeAndEnd("one\ntwo") // as a file may end

	sent := server.Receive()
	require.Equalf(t, "onetwo", sent, `
		The input was "one\ntwo", and %s was sent. Run %s.

		If Run dropped the last line: ReadString returns it together with io.EOF.`,
		wire.Show(sent), running)
	require.Truef(t, server.Ended(), `
		The input ended, and the client didn't end its half of the connection. Run %s.

		CloseWrite tells the server that nothing more comes. Without it the server waits for the
		client.`, running)
	require.Falsef(t, running.Returned(), `
		The input ended, and Run didn't wait for the answers: it %s.

		The answers are still in flight. Run goes on printing until the server ends the
		connection.`, running)
}

func lateAnswersArePrinted(t *wire.T) {
	keyboard, screen, server, running := t.RunClient(echo.Run)
	keyboard.TypeAndEnd("one\ntwo\n")
	server.Receive()
	require.Truef(t, server.Ended(), `
		The input ended, and the client didn't end its half of the connection. Run %s.

		After the last newline, ReadString returns "" and io.EOF: nothing more will be typed.`,
		running)

	server.Send("first")
	time.Sleep(10 * time.Minute)
	server.Send("second")
	server.Close()

	require.Truef(t, screen.Shows("first") && screen.Shows("second"), `
		The server answered "first", and "second" ten minutes later, then closed. The screen
		showed %s. Run %s.

		The client can't know how long the server takes. It waits until the server ends the
		connection.`, wire.Show(screen.Text()), running)
	require.Equalf(t, "firstsecond", shown(screen), `
		The server sent "first" and "second", and closed. The screen showed %s.

		out gets the server's bytes and no others, at the end too.`, wire.Show(screen.Text()))
	require.Truef(t, running.Returned() && running.Err() == nil, `
		All answers came, then the server closed the connection. Run %s.

		That's a normal end: the client had promised to send no more. Run must return nil.`,
		running)
	require.True(t, server.Closed(), `
		Run returned, but its connection was still open.

		Run owns the connection and must close it.`)
}

func emptyInputEndsToo(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)

	keyboard.End()

	sent := server.Receive()
	require.Emptyf(t, sent, `
		The input ended before anything was typed, and %s was sent.

		What ReadString returns together with io.EOF is "" here, not a line.`, wire.Show(sent))
	require.Truef(t, server.Ended(), `
		The input ended before anything was typed, and the client didn't end its half of the
		connection. Run %s.

		The server still waits for the client.`, running)
}

func lateResetIsAnError(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)
	keyboard.TypeAndEnd("one\n")
	server.Receive()
	server.Ended() // the client has half-closed

	server.Reset()

	require.Truef(t, running.Returned() && running.Err() != nil, `
		The server reset the connection. Run %s.

		A reset may have destroyed answers that were on their way, so it's an error at any
		time. Only io.EOF is a normal end.`, running)
}

func fastServerIsAGoodEnd(t *wire.T) {
	server, conn := t.Server()
	keyboard := t.Keyboard()
	slow := wire.SlowCloser{Conn: conn}
	running := t.Call(func() error { return echo.Run(slow, keyboard, t.Screen()) })
	keyboard.TypeAndEnd("one\n")
	server.Receive()
	server.Ended() // the client has half-closed

	server.Send("1")
	server.Close()
	time.Sleep(time.Minute)

	require.Truef(t, running.Returned() && running.Err() == nil, `
		The client ended its half of the connection, and the server answered and closed at
		once. Run %s.

		From the call of CloseWrite on, the server's end is a good one. Run must know that the
		input has ended before the server learns it.`, running)
}

func connectionIsClosedInstead(t *wire.T) {
	server, conn := t.Server()
	keyboard := t.Keyboard()
	withoutCloseWrite := struct{ net.Conn }{conn}
	running := t.Call(func() error { return echo.Run(withoutCloseWrite, keyboard, t.Screen()) })

	keyboard.TypeAndEnd("one\ntwo")

	sent := server.Receive()
	require.Equalf(t, "onetwo", sent, `
		The input was "one\ntwo", and %s was sent. Run %s.`, wire.Show(sent), running)
	require.Truef(t, running.Returned() && server.Closed(), `
		The input ended, but Run didn't close the connection and return. Run %s.

		This connection can't end one half alone. Close it and return: that tells the server
		that nothing more comes.`, running)
}

func Test16_NoticesWhenTheServerGoesAway(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#16-notice-when-the-server-goes-away", "client.go")
	wire.Test(e, "a server that closes", func(t *wire.T) {
		serverGoesAway(t, (*wire.Peer).Close)
	})
	wire.Test(e, "a server that resets", func(t *wire.T) {
		serverGoesAway(t, (*wire.Peer).Reset)
	})
	program.Test(e, "the program without -addr", programWithoutAddr)
	program.Test(e, "the program, when its server closes", programWhenItsServerCloses)
	program.Test(e, "the program with an IPv6 address in -addr", programWithIPv6)
}

func programWithoutAddr(t *program.T) {
	listener := t.Listen()
	client := t.Build("./cmd/client").Start()
	server := listener.Accept(client)

	client.Type("hello\n")
	server.Receive(5)
	server.Send("good evening")

	require.True(t, client.Shows("good evening"), `
		The server answered, and the program's standard output showed nothing.

		main must call Run with os.Stdin and os.Stdout themselves. A bufio.Writer between them
		keeps the answers until it's full, or until Flush.`)
	printed := strings.TrimSpace(client.Stdout())
	require.Equalf(t, "good evening", printed, `
		The program's standard output was %s.

		Standard output is for the server's bytes. Everything else belongs to standard error.`,
		wire.Show(printed))
	require.Truef(t, client.ComesToRest(), `
		Nothing more was typed or answered, but the client kept a CPU busy. It %s.

		With nothing to do, every goroutine must wait. A select with a default never waits, so a
		loop around it is a busy loop.`, client)
}

func programWhenItsServerCloses(t *program.T) {
	listener := t.ListenAnywhere()
	client := t.Build("./cmd/client").Start("-addr", listener.Addr())
	server := listener.Accept(client)

	server.Close()

	require.True(t, client.Ended(), `
		Nothing was typed, and a second later the program was still running.

		main must return when Run does.`)
	require.Falsef(t, client.Crashed(), `
		After the server had closed the connection, the client %s.

		A panic is for bugs in a program. A server that goes away isn't one: report Run's
		error and exit.`, client)
	require.Equalf(t, 1, client.ExitStatus(), `
		After the server had closed the connection, the client ended: it %s.

		The program that started the client sees only its exit status, and 0 means
		success. The exercise asks for 1, the usual value.`, client)
	require.NotEmpty(t, client.Stderr(), `
		The client printed nothing to its standard error.

		That's where a program says what went wrong.`)
}

func programWithIPv6(t *program.T) {
	if !program.HasAddress("::1") {
		return
	}
	listener := t.ListenOn("::1")

	client := t.Build("./cmd/client").Start("-addr", listener.Addr())

	listener.Accept(client) // or the exercise fails
}

func serverGoesAway(t *wire.T, goAway func(server *wire.Peer)) {
	keyboard, screen, server, running := t.RunClient(echo.Run)
	keyboard.Type("hello\n")
	server.Receive()
	server.Send("hello")
	require.Truef(t, screen.Shows("hello"), `
		The server answered "hello", and the screen showed %s. Run %s.

		Print each answer as soon as it arrives.`, wire.Show(screen.Text()), running)

	goAway(server)

	require.Equalf(t, "hello", shown(screen), `
		The server sent "hello" and went away, and the screen showed %s.

		out gets the server's bytes and no others. Return the error: main reports it.`,
		wire.Show(screen.Text()))
	require.True(t, running.Returned(), `
		Nothing was typed after that, and Run didn't return.

		If Run waits for the keyboard, it notices only with the next line. It must read from the
		connection meanwhile, and return as soon as the connection ends.`)
	require.Error(t, running.Err(), `
		The client wanted to go on, and Run returned nil.

		Its caller takes nil for a normal end.`)
	require.True(t, server.Closed(), `
		Run returned an error, but its connection was still open.

		Run owns the connection and must close it however it returns.`)
}

func Test17_QuitsOnQ(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#17-quit-on-q", "client.go")
	wire.Test(e, "lines that only look like q", func(t *wire.T) {
		keyboard, _, server, running := t.RunClient(echo.Run)
		for _, line := range []string{"quiz", " q ", "q ", "\tQ", "qq", "Q!"} {
			keyboard.Type(line + "\n")

			sent := server.Receive()
			require.Equalf(t, line, sent, `
				%q was typed, and %s was sent. Run %s.

				Only q or Q alone on its line quits. Every other line is a message, and the
				client sends it without waiting for answers.`, line+"\n", wire.Show(sent), running)
		}
	})
	for _, line := range []string{"q\n", "Q\n", "q\r\n", "Q\r\n", "q"} {
		wire.Test(e, fmt.Sprintf("the line %q", line), func(t *wire.T) { qQuits(t, line) })
	}
	program.Test(e, "the program, when q is typed", programQuits)
	wire.Test(e, "a hundred lines and q, all at once", linesBeforeQ)
}

func programQuits(t *program.T) {
	listener := t.ListenAnywhere()
	client := t.Build("./cmd/client").Start("-addr", listener.Addr())
	server := listener.Accept(client)

	client.Type("hello\nq\n")

	require.Truef(t, client.Ended() && client.ExitStatus() == 0, `
		q was typed, and the client %s.

		Then Run returns nil, and nil is a normal end: main exits with status 0.`, client)
	rest, _ := server.Rest()
	require.Falsef(t, server.WasReset(), `
		"hello" and q were typed. The server got %s and then a reset from the client instead of a
		clean end.

		Close ends a connection cleanly, unless bytes are unread or SetLinger(0) was called.
		Messages that are still in flight can get lost in a reset.`, wire.Show(rest))
}

func qQuits(t *wire.T, line string) {
	keyboard, screen, server, running := t.RunClient(echo.Run)
	keyboard.Type("hello\n")
	server.Receive()

	enter := keyboard.Type
	if !strings.HasSuffix(line, "\n") {
		enter = keyboard.TypeAndEnd
	}
	enter(line)

	sent := server.Receive()
	require.Emptyf(t, sent, `
		%s was sent to the server.

		The line is a command for the client itself, not a message.`, wire.Show(sent))
	require.True(t, running.Returned(), `
		Run didn't return. The server hadn't answered yet.

		q means now: Run doesn't wait for answers.`)
	require.NoErrorf(t, running.Err(), `
		Run %s.

		Quitting is a normal end, so Run must return nil.`, running)
	require.Emptyf(t, screen.Text(), `
		The server had sent nothing, and the screen showed %s.

		out gets the server's bytes and no others.`, wire.Show(screen.Text()))
	require.True(t, server.Closed(), `
		Run returned, but its connection was still open.

		Run owns the connection and must close it. Otherwise the server can't know that the
		client has gone.`)
	keyboard.End()
	require.Zerof(t, t.Goroutines(), `
		Run returned and its input ended, but a goroutine that it started was still there: %s.

		If nothing can wake it up any more, it never ends: that's a goroutine leak.`,
		lesson.ReasonToWait())
}

func linesBeforeQ(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)
	typed, want := "", ""
	for i := range 100 {
		typed += fmt.Sprintln(i + 1)
		want += fmt.Sprint(i + 1)
	}

	server.Hold(0) // so the client has read q before its first Write ends
	keyboard.Type(typed + "q\n")
	t.Wait()
	server.Hold(wire.NoLimit)
	sent := server.Receive()

	require.Equalf(t, want, sent, `
		The numbers from 1 to 100 and q came at once, as from a file. The client sent %s. Run %s.

		q comes after the other lines: the client must send those first. If lines come from one
		channel and q from another, a select doesn't know which was typed first.`,
		wire.Show(sent), running)
}

func Test18_ReportsThatNoServerIsListening(t *testing.T) {
	e := lesson.Start(t, "docs/3-concurrency.md#18-report-that-no-server-is-listening",
		"cmd/client/main.go")
	program.Test(e, "no server listens on port 20000", func(t *program.T) {
		client := t.Build("./cmd/client").Start()

		require.True(t, client.Ended(), `
			Dial fails at once, and a second later the client was still running.

			The client must say so and end: otherwise its user, or a script, waits in vain.`)
		require.Falsef(t, client.Crashed(), `
			Dial failed, and the client %s.

			When Dial returns an error, conn is nil. Report the error and exit: don't panic, and
			don't use conn.`, client)
		require.Equalf(t, 1, client.ExitStatus(), `
			Dial failed, and the client %s.

			The program that started the client sees only its exit status, and 0 means
			success. The exercise asks for 1, the usual value.`, client)
		require.Emptyf(t, client.Stdout(), `
			The client printed %s to its standard output.

			Standard output is for answers alone: "client > answers" writes them to a file. The
			error, and everything else, belongs to standard error.`, wire.Show(client.Stdout()))
		require.NotEmpty(t, client.Stderr(), `
			The client printed nothing to its standard error.

			That's where a program says what went wrong.`)
	})
}
