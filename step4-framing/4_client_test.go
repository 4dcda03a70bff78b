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
	echo "example.com/tcp-steps/step4-framing"
	"github.com/stretchr/testify/require"
)

func Test20_SendsEachLineAsOneFrame(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#20-send-each-line-as-one-frame", "client.go")
	wire.Test(e, "the line \"hello\\n\"", lineIsOneFrame)
	wire.Test(e, "an empty line", emptyLineIsOneFrame)
	wire.Test(e, "three lines before any answer", linesAreSentUnanswered)
	wire.Test(e, "lines with spaces, signs and bytes of every kind", anyLineIsOneFrame)
	for _, size := range []int{4096, 100_000, 1 << 20} {
		wire.Test(e, fmt.Sprintf("a line of %d bytes", size), func(t *wire.T) {
			longLineIsOneFrame(t, size)
		})
	}
	wire.Test(e, "two lines and a half", wholeLinesAreSent)
	wire.Test(e, "a last line without an ending", lastLineIsOneFrame)
	wire.Test(e, "an input that ends after a line ending", endIsNoFrame)
	for _, q := range []string{"q\n", "Q\n", "q\r\n", "Q\r\n", "q"} {
		wire.Test(e, fmt.Sprintf("a line, then %q", q), func(t *wire.T) { qIsNoFrame(t, q) })
	}
	wire.Test(e, "a server that closes while CloseWrite is still running", fastServerIsAGoodEnd)
	wire.Test(e, "a connection without CloseWrite", connectionIsClosedInstead)
}

func lineIsOneFrame(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)

	keyboard.Type("hello\n")

	sent := server.Receive()
	require.Equalf(t, wire.Frames("hello"), sent, `
		Instead of one frame with "hello", %s was sent. Run %s.

		The line without its ending is the payload. Flush sends the frame before the client
		waits for the next line.`, wire.Show(sent), running)
}

func emptyLineIsOneFrame(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)

	keyboard.Type("\n")

	sent := server.Receive()
	require.Equalf(t, wire.Frames(""), sent, `
		Instead of one frame without a payload, %s was sent. Run %s.

		With frames, an empty line is a message: four bytes that say 0.`,
		wire.Show(sent), running)
}

func linesAreSentUnanswered(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)

	keyboard.Type("one\ntwo\nthree\n")

	sent := server.Receive()
	require.Equalf(t, wire.Frames("one", "two", "three"), sent, `
		"one\ntwo\nthree\n" was typed, and nothing was answered yet. Instead of three frames, %s
		was sent. Run %s.

		Each line is sent as soon as it's typed, whether the one before was answered or not.`,
		wire.Show(sent), running)
}

func anyLineIsOneFrame(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)
	const bytes = "The header counts the payload's bytes."
	const ending = "The payload is the line without its ending, byte for byte. The ending is " +
		"one \\n, with at most one \\r before it."
	for _, line := range []struct{ typed, payload, why string }{
		{"  with  spaces \r\n", "  with  spaces ", ending},
		{"   \n", "   ", ending},
		{"\r\n", "", ending},
		{"a\r\r\n", "a\r", ending},
		{"\ra\rb\n", "\ra\rb", ending},
		{"你好\n", "你好", bytes + " " + ending},
		{"\xff\xfe\x80\n", "\xff\xfe\x80", bytes + " " + ending},
		{"a\x00b\x00\n", "a\x00b\x00", ending},
		{"100%d\n", "100%d", ending},
		{" q \n", " q ", "With spaces around it, q is a message."},
	} {
		keyboard.Type(line.typed)

		sent := server.Receive()
		require.Equalf(t, wire.Frames(line.payload), sent, `
			%s was typed. Instead of one frame with %q, %s was sent. Run %s.

			%s`, wire.Show(line.typed), line.payload, wire.Show(sent), running, line.why)
	}
}

func longLineIsOneFrame(t *wire.T, size int) {
	keyboard, _, server, running := t.RunClient(echo.Run)
	line := strings.Repeat("0123456789", size/10+1)[:size]

	keyboard.Type(line + "\r\n")

	sent := server.Receive()
	require.Truef(t, sent == wire.Frames(line), `
		Instead of one frame with the line, %s was sent. Run %s.

		A line may have up to 1 MiB. A bufio.Scanner stops at 64 KiB unless you give it a larger
		buffer, and the line ending, \n or \r\n, must fit into that as well.`, wire.Show(sent),
		running)
}

func wholeLinesAreSent(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)

	keyboard.Type("one\ntwo\nthr")

	sent := server.Receive()
	require.Equalf(t, wire.Frames("one", "two"), sent, `
		"one\ntwo\nthr" was typed. Instead of two frames, %s was sent. Run %s.

		The client must flush whenever it's about to wait for the keyboard, even with half a
		line in its buffer.`, wire.Show(sent), running)
	keyboard.Type("ee\n")
	sent = server.Receive()
	require.Equalf(t, wire.Frames("three"), sent, `
		The rest of the third line was typed, "ee\n". Instead of one frame with "three", %s was
		sent. Run %s.`, wire.Show(sent), running)
}

func lastLineIsOneFrame(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)

	keyboard.TypeAndEnd("one\ntwo")

	sent := server.Receive()
	require.Equalf(t, wire.Frames("one", "two"), sent, `
		The input was "one\ntwo". Instead of two frames, %s was sent. Run %s.

		The last line needs no ending. If ReadString returns it together with io.EOF, its frame
		must be written and flushed all the same.`, wire.Show(sent), running)
	require.Truef(t, server.Ended(), `
		The input ended, and the client didn't end its half of the connection. Run %s.

		The server can't know that nothing more comes: it waits for the client, and the client
		waits for it. CloseWrite tells it.`, running)
	require.Falsef(t, running.Returned(), `
		The input ended, and Run didn't wait for the answers: it %s.

		The answers are still in flight. Run goes on printing until the server ends the
		connection.`, running)
}

func endIsNoFrame(t *wire.T) {
	keyboard, _, server, running := t.RunClient(echo.Run)

	keyboard.TypeAndEnd("hello\n")

	sent := server.Receive()
	require.Equalf(t, wire.Frames("hello"), sent, `
		The input was "hello\n". Instead of one frame, %s was sent. Run %s.

		After the last line ending comes the end of the input, not an empty line.`,
		wire.Show(sent), running)
}

func qIsNoFrame(t *wire.T, q string) {
	keyboard, _, server, running := t.RunClient(echo.Run)

	enter := keyboard.Type
	if !strings.HasSuffix(q, "\n") {
		enter = keyboard.TypeAndEnd
	}
	enter("hello\n" + q)

	sent := server.Receive()
	require.Equalf(t, wire.Frames("hello"), sent, `
		"hello\n" and then %q were typed. Instead of one frame with "hello", %s was sent.

		The client must send what was typed before q, but not q itself.`, q, wire.Show(sent))
	require.Truef(t, server.Closed(), `
		%q was typed, and the connection is still open. Run %s.

		q means now: Run doesn't wait for answers.`, q, running)
	require.Truef(t, running.Returned() && running.Err() == nil, `
		%q was typed. Run %s.

		Quitting is a normal end, so Run must return nil.`, q, running)
}

func fastServerIsAGoodEnd(t *wire.T) {
	server, conn := t.Server()
	keyboard := t.Keyboard()
	slow := wire.SlowCloser{Conn: conn}
	running := t.Call(func() error { return echo.Run(slow, keyboard, t.Screen()) })
	keyboard.TypeAndEnd("one\n")
	server.Receive()
	server.Ended()

	server.Send(wire.Frames("1"))
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
	require.Equalf(t, wire.Frames("one", "two"), sent, `
		The input was "one\ntwo". Instead of two frames, %s was sent. Run %s.`,
		wire.Show(sent), running)
	require.Truef(t, running.Returned() && server.Closed(), `
		The input ended, and the server doesn't learn of it. Run %s.

		This connection can't end one half alone. Close it and return: that tells the server
		that nothing more comes.`, running)
}

func Test21_PrintsEachAnswerWhole(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#21-print-each-answer-whole", "client.go")
	for cut := 1; cut < len(wire.Frames("hello")); cut++ {
		name := fmt.Sprintf("an answer of %d bytes, cut after byte %d", 4+len("hello"), cut)
		wire.Test(e, name, func(t *wire.T) { cutAnswerIsPrintedWhole(t, cut) })
	}
	wire.Test(e, "three answers in one piece", eachAnswerHasALine)
	wire.Test(e, "answers with bytes of every kind", anyAnswerIsPrintedUnchanged)
	wire.Test(e, "a thousand answers of the same length", equalAnswersStayApart)
	wire.Test(e, "an answer of 1 MiB", longAnswerIsPrinted)
	wire.Test(e, "a server that closes between two answers", endOfTheServerIsAnError)
	wire.Test(e, "a server that must speak before it takes more", clientReadsWhileItWrites)
	wire.Test(e, "an answer ten minutes after the end of the input", lateAnswerIsPrinted)
	wire.Test(e, "a server that closes within an answer",
		func(t *wire.T) { cutAnswerIsAnError(t, 7, (*wire.Peer).Close) })
	wire.Test(e, "a server that closes after an answer's header",
		func(t *wire.T) { cutAnswerIsAnError(t, headerSize, (*wire.Peer).Close) })
	wire.Test(e, "a reset within an answer",
		func(t *wire.T) { cutAnswerIsAnError(t, 7, (*wire.Peer).Reset) })
	wire.Test(e, "a header that announces one byte more than 1 MiB",
		func(t *wire.T) { badHeaderIsAnError(t, false) })
	wire.Test(e, "a header that announces one byte more than 1 MiB, after the end of the input",
		func(t *wire.T) { badHeaderIsAnError(t, true) })
	wire.Test(e, "a server that closes just when the input ends",
		func(t *wire.T) { t.EndBothSides(echo.Run) })
	wire.Test(e, "a server that closes within a header",
		func(t *wire.T) { cutAnswerIsAnError(t, 2, (*wire.Peer).Close) })
	wire.Test(e, "a reset within a header",
		func(t *wire.T) { cutAnswerIsAnError(t, 2, (*wire.Peer).Reset) })
	e.AgainUnderRace()
}

func cutAnswerIsPrintedWhole(t *wire.T, cut int) {
	_, screen, server, running := t.RunClient(echo.Run)
	answer := wire.Frames("hello")

	server.Send(answer[:cut])
	require.Emptyf(t, screen.Text(), `
		%d of 9 bytes had arrived, and the client printed %s.

		What has arrived so far isn't a message yet.`, cut, wire.Show(screen.Text()))
	server.Send(answer[cut:])

	screen.Shows("hello\n")
	printed := screen.Text()
	require.Equalf(t, "hello\n", printed, `
		The whole answer arrived, a frame with "hello", and the client printed %s. Run %s.

		An answer is printed as a line: the payload, then \n, and nothing else.`,
		wire.Show(printed), running)
}

func eachAnswerHasALine(t *wire.T) {
	_, screen, server, running := t.RunClient(echo.Run)

	server.Send(wire.Frames("one", "", "three"))

	require.Truef(t, screen.Shows("one\n\nthree\n"), `
		Frames with "one", "" and "three" arrived together, and the client printed %s. Run %s.

		Each answer is a line of its own, and an empty answer is an empty line. If each answer
		gets a new Reader, it loses what the one before has read.`,
		wire.Show(screen.Text()), running)
}

func anyAnswerIsPrintedUnchanged(t *wire.T) {
	_, screen, server, running := t.RunClient(echo.Run)
	for _, answer := range []string{
		"  both ends \t", "100%d", "a\x00b\x00", "\xff\xfe\x80", "\xe4\xbd", "two\nlines\r",
		"a line\n", "\n",
	} {
		before := screen.Text()

		server.Send(wire.Frames(answer))

		screen.Shows(before + answer + "\n")
		printed := strings.TrimPrefix(screen.Text(), before)
		require.Equalf(t, answer+"\n", printed, `
			The answer was %q, and the client printed %s. Run %s.

			The payload is printed byte for byte, then \n. It isn't a format, and it need not be
			text.`, answer, wire.Show(printed), running)
	}
}

func equalAnswersStayApart(t *wire.T) {
	_, screen, server, running := t.RunClient(echo.Run)
	var frames []string
	want := ""
	for i := range 1000 {
		answer := fmt.Sprintf("answer %04d", i)
		frames = append(frames, wire.Frames(answer))
		want += answer + "\n"
	}

	server.Send(frames...)

	screen.Shows(want)
	line, wanted, printed := firstDifference(want, screen.Text())
	require.Truef(t, screen.Text() == want, `
		Line %d should be %s, and the client printed %s. Run %s.

		Answers are printed in order, each once. A payload that ReadFrame returned belongs to
		the Reader again at the next call: another goroutine needs a copy.`,
		line, wanted, printed, running)
}

// firstDifference compares two texts line by line. It returns the number of the
// first line that isn't the same, and what it is in each text.
func firstDifference(want, got string) (number int, wanted, printed string) {
	wants, gots := strings.SplitAfter(want, "\n"), strings.SplitAfter(got, "\n")
	for number < len(wants) && number < len(gots) && wants[number] == gots[number] {
		number++
	}
	if number < len(wants) {
		wanted = wants[number]
	}
	if number < len(gots) {
		printed = gots[number]
	}
	return number + 1, wire.Show(wanted), wire.Show(printed)
}

func longAnswerIsPrinted(t *wire.T) {
	_, screen, server, running := t.RunClient(echo.Run)
	answer := strings.Repeat("a long answer...", 1<<16)

	server.Send(wire.Frames(answer))

	require.Truef(t, screen.Shows(answer+"\n"), `
		The client printed %s. Run %s.

		An answer may have up to 1 MiB: that's the limit on both sides.`,
		wire.Show(screen.Text()), running)
}

func endOfTheServerIsAnError(t *wire.T) {
	_, screen, server, running := t.RunClient(echo.Run)
	server.Send(wire.Frames("hello"))
	screen.Shows("hello\n")

	server.Close()

	require.Truef(t, running.Returned() && running.Err() != nil, `
		The input hadn't ended. Run %s.

		The client wanted to go on, so the end of the server is an error, as in step 3.`,
		running)
}

func clientReadsWhileItWrites(t *wire.T) {
	keyboard, screen, server, _ := t.RunClient(echo.Run)
	server.Hold(100)
	keyboard.Type(strings.Repeat("a long line, ", 1000)+"\n", "another one\n")
	t.Wait() // the client waits in Write

	server.Send(wire.Frames("I must speak first"))

	require.Truef(t, screen.Shows("I must speak first\n"), `
		The client waited in Write, the server sent an answer, and the screen shows %s.

		The server takes more only when the client has read its answer. A client that doesn't
		read while it writes waits for the server, and the server waits for it: a deadlock.`,
		wire.Show(screen.Text()))
}

func lateAnswerIsPrinted(t *wire.T) {
	keyboard, screen, server, running := t.RunClient(echo.Run)
	keyboard.TypeAndEnd("hello\n")
	server.Receive()
	time.Sleep(10 * time.Minute)

	server.Send(wire.Frames("a late answer"))

	require.Truef(t, screen.Shows("a late answer\n"), `
		The screen shows %s. Run %s.

		When the input ends, answers may still be on their way. The client can't know how long
		they take: it reads until the server ends the connection.`,
		wire.Show(screen.Text()), running)
	server.Close()
	require.Truef(t, running.Returned() && running.Err() == nil, `
		All answers came, then the server closed the connection. Run %s.

		That's a normal end: the client had promised to send no more. Run must return nil.`,
		running)
}

func cutAnswerIsAnError(t *wire.T, cut int, end func(server *wire.Peer)) {
	keyboard, screen, server, running := t.RunClient(echo.Run)
	keyboard.TypeAndEnd("hello\n")
	server.Receive()

	answer := wire.Frames("Zq7 is not whole")
	server.Send(answer[:cut])
	t.Wait()
	end(server)

	running.Returned()
	require.NotContainsf(t, screen.Text(), "Zq7", `
		The server had sent only %d of the %d bytes of a frame. The client printed a part of the
		answer: %s.

		Print a message only when all of it has arrived.`, cut, len(answer),
		wire.Show(screen.Text()))
	require.Errorf(t, running.Err(), `
		The server had sent %d of the %d bytes of a frame. Run %s.

		The caller must learn that the last answer isn't whole.`, cut, len(answer), running)
}

func badHeaderIsAnError(t *wire.T, afterTheInput bool) {
	keyboard, _, server, running := t.RunClient(echo.Run)
	enter := keyboard.Type
	if afterTheInput {
		enter = keyboard.TypeAndEnd
	}
	enter("hello\n")
	server.Receive()

	server.Send("\x00\x10\x00\x01")

	require.Truef(t, running.Returned() && running.Err() != nil, `
		An answer has 1 MiB at most, and the server's header announced more. Run %s.

		The header alone tells that the answer is too large, so there's nothing to wait for. The
		client needs the limit as much as the server: without one, a header decides how much memory
		it takes.`,
		running)
}

func Test22_RunsClientAndServerTogether(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#22-run-client-and-server-together", "client.go")
	program.Test(e, "a thousand lines through your client and your server", func(t *program.T) {
		serverProgram, clientProgram := t.Build("./cmd/server"), t.Build("./cmd/client")
		server := serverProgram.Start("-quiet")
		server.Dial() // so that it listens now
		client := clientProgram.Start()

		var lines strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&lines, "line %d %s\n", i+1, strings.Repeat("~", i))
		}
		client.Type(lines.String())
		client.CloseInput()
		client.Ended()

		printed := strings.ReplaceAll(client.Stdout(), "\r\n", "\n")
		line, wanted, got := firstDifference(lines.String(), printed)
		require.Truef(t, printed == lines.String(), `
			Line %d went in as %s, and %s came out, of %d bytes in all. The client %s. The
			server %s.

			Each line must come out as it went in. One of the two programs changes it, loses it,
			or stops early. Exercises 13 to 19 test the server alone, 20 and 21 the client.`,
			line, wanted, got, len(printed), client, server)
		require.Equalf(t, 0, client.ExitStatus(), `
			All lines came out again. The client %s.

			After the end of its input and the last answer, the client ends with status 0.`,
			client)
	})
}
