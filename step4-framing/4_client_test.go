package main

import (
	"encoding/binary"
	"fmt"
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

// frames returns what goes over the wire for the given messages.
func frames(messages ...string) string {
	var bytes []byte
	for _, message := range messages {
		bytes = binary.BigEndian.AppendUint32(bytes, uint32(len(message)))
		bytes = append(bytes, message...)
	}
	return string(bytes)
}

func Test20_SendsEachLineAsOneFrame(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#20-send-each-line-as-one-frame")
	wire.Test(e, func(t *wire.T) {
		keyboard, _, server, running := start(t)
		long := strings.Repeat("0123456789", 10_000)
		for _, line := range []struct{ typed, message, why string }{
			{"hello\n", "hello", "the line is the message, without its ending, and Flush sends it before the client waits for the next one"},
			{"\n", "", "an empty line is an empty message, and now there is something to send for it"},
			{"  with  blanks \r\n", "  with  blanks ", "the message is the line without its ending, with all its blanks"},
			{"你好\n", "你好", "the header counts bytes"},
			{" q \n", " q ", "the line that ends the client is q alone, without blanks"},
			{"a\r\r\n", "a\r", "the ending of a line is one \\n, with one \\r before it or without, and what stands before that belongs to the message"},
			{long + "\n", long, "a line may be longer than 64 KiB, where a bufio.Scanner gives up, and is sent as one frame all the same"},
		} {
			keyboard.Type(line.typed)
			sent := server.Receive()
			require.Equalf(t, frames(line.message), sent, "%s was typed; as for run, %s, and %s was sent instead of one frame with it: %s", wire.Show(line.typed), running, wire.Show(sent), line.why)
		}
		keyboard.Type("one\ntwo\nthr")
		sent := server.Receive()
		require.Equalf(t, frames("one", "two"), sent, "two lines and the beginning of a third one were typed, and %s was sent instead of two frames", wire.Show(sent))
		keyboard.Type("ee")
		keyboard.End()
		sent = server.Receive()
		require.Equalf(t, frames("three"), sent, "the input ended with the line %q, without an ending of its own, and %s was sent instead of one frame with it", "three", wire.Show(sent))
		require.True(t, server.Ended(), "the input has ended, and the server does not learn of it")
	})
	wire.Test(e, func(t *wire.T) {
		keyboard, _, server, _ := start(t)
		keyboard.Type("hello\n")
		keyboard.End()
		sent := server.Receive()
		require.Equalf(t, frames("hello"), sent, "%q was typed, the input has ended, and %s was sent instead of one frame: behind the last line ending stands the end, and no empty line", "hello\n", wire.Show(sent))
	})
	wire.Test(e, func(t *wire.T) {
		keyboard, _, server, _ := start(t)
		keyboard.Type("hello\nq\n")
		sent := server.Receive()
		require.Equalf(t, frames("hello"), sent, "%q was typed, and %s was sent instead of one frame: what was typed before q is sent, and q is a word to the client itself", "hello\nq\n", wire.Show(sent))
		require.True(t, server.Closed(), "\"q\" was typed, and the connection is still open")
	})
}

func Test21_PrintsEachAnswerWhole(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#21-print-each-answer-whole")
	wire.Test(e, func(t *wire.T) {
		_, screen, server, running := start(t)

		frame := frames("hello")
		for cut := 1; cut < len(frame); cut++ {
			before := screen.Text()
			server.Send(frame[:cut])
			require.Equalf(t, before, screen.Text(), "of an answer of %d bytes %d have come, and the client has printed something: what has come so far is no message yet", len(frame), cut)
			server.Send(frame[cut:])
			require.Truef(t, screen.Shows(before+"hello\n"), "an answer with %q came in pieces of %d and %d bytes, and the client has printed %s for it instead of a line with the message; as for run, %s", "hello",
				cut, len(frame)-cut, wire.Show(strings.TrimPrefix(screen.Text(), before)), running)
		}

		before := screen.Text()
		server.Send(frames("one", "", "100%d"))
		require.Truef(t, screen.Shows(before+"one\n\n100%d\n"), "three answers came in one piece, the second one empty, and the client has printed %s for them: each is to have a line of its own; as for run, %s",
			wire.Show(strings.TrimPrefix(screen.Text(), before)), running)

		before = screen.Text()
		long := strings.Repeat("a long answer...", 1<<16) // 1 MiB
		server.Send(frames(long))
		require.Truef(t, screen.Shows(before+long+"\n"), "an answer of %d bytes came, and the client has printed %s for it: an answer may have up to 1 MiB; as for run, %s", len(long), wire.Show(strings.TrimPrefix(screen.Text(), before)), running)

		server.Close()
		require.Truef(t, running.Returned() && running.Err() != nil, "the server has closed the connection between two answers, the input has not ended, and as for run, %s: it returns an error then, as in step 3, for "+
			"what is typed now nobody will answer", running)
	})
	wire.Test(e, func(t *wire.T) {
		keyboard, screen, server, _ := start(t)
		server.Hold(100) // it takes no more before it has got rid of what it has to say
		keyboard.Type(strings.Repeat("a long line, ", 1000) + "\n")
		keyboard.Type("another one\n")
		t.Wait()

		server.Send(frames("I must speak first"))

		require.True(t, screen.Shows("I must speak first\n"), "the client waits in Write, because the server takes nothing until it has been heard; the server has spoken, and it is not on the screen: so both wait "+
			"for ever. Whoever writes must go on reading meanwhile")
	})
	wire.Test(e, func(t *wire.T) {
		keyboard, screen, server, running := start(t)
		keyboard.Type("hello\n")
		server.Receive()
		keyboard.End()
		time.Sleep(time.Minute)
		server.Send(frames("a late answer"))
		require.Truef(t, screen.Shows("a late answer\n"), "the input has ended, a minute later an answer came, and it is not on the screen; as for run, %s: the answers to the last lines are still "+
			"on their way when the input ends, and how long that takes the client cannot know", running)

		server.Send(frames("Zq7 is not whole")[:7])
		t.Wait()
		server.Close()
		running.Returned()
		require.NotContains(t, screen.Text(), "Zq7", "the server has closed the connection in the middle of an answer, and the client has printed the part that came as if it were the answer")
		require.Errorf(t, running.Err(), "the server has closed the connection in the middle of an answer, and as for run, %s: its caller must learn that not all is there", running)
	})
}

func Test22_RunsClientAndServerTogether(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#22-run-client-and-server-together")
	server := program.Build(e, "../server", "../frame").Start(e, "-quiet")
	server.Dial().Close() // it listens now

	var lines []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf("line %d %s", i+1, strings.Repeat("~", i)))
	}
	text := strings.Join(lines, "\n") + "\n"
	client := program.Start(e)
	client.Type(text)
	client.CloseInput()

	client.Ended()
	printed := strings.ReplaceAll(client.Stdout(), "\r\n", "\n")
	same := 0
	for same < len(lines) && strings.HasPrefix(printed, strings.Join(lines[:same+1], "\n")+"\n") {
		same++
	}
	require.Truef(e, printed == text, "1,000 lines went in, to your client and your server, and of what the client printed only the first %d lines are the same, of %d; as for the client, %s", same, strings.Count(printed, "\n"), client)
	require.Equalf(e, 0, client.ExitStatus(), "1,000 lines went in and came out again, and as for the client, %s", client)
}
