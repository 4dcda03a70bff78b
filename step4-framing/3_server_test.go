package echo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/wire"
	echo "example.com/tcp-steps/step4-framing"
	"github.com/stretchr/testify/require"
)

func Test13_AnswersEveryFrameWhole(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#13-answer-every-frame-whole", "process.go")
	wire.Test(e, "a frame that arrives in two pieces", frameInTwoPieces)
	wire.Test(e, "messages of every kind", messagesOfEveryKind)
	wire.Test(e, "messages from 0 bytes to 1 MiB", messagesOfEverySize)
}

func frameInTwoPieces(t *wire.T) {
	ln, serving := t.Serve(&echo.Server{})
	client := ln.Dial()
	frame := wire.Frames("hello")

	for cut := 1; cut < len(frame); cut++ {
		client.Send(frame[:cut])
		early := strings.Join(client.Arrived(), "")
		require.Emptyf(t, early, `
			%d of a frame's %d bytes had arrived, and the server sent %s.

			That's no message yet. A message is the payload of a whole frame.`,
			cut, len(frame), wire.Show(early))

		client.Send(frame[cut:])
		answer := client.Receive()
		require.Falsef(t, answer == "" && client.Ended(), `
			The client sent a frame with "hello", and the server ended the connection without an
			answer. Serve %s.

			What the program printed may say why. If it's a timeout, set no deadline: 0 means no
			timeout.`, serving)
		require.NotEmptyf(t, answer, `
			The client sent a frame with "hello", in pieces of %d and %d bytes, and got no answer.
			Serve %s.

			If WriteFrame was called, the frame may be in the Writer's buffer: only Flush sends it
			for certain.`,
			cut, len(frame)-cut, serving)
		require.Equalf(t, frame, answer, `
			The client sent a frame with "hello", in pieces of %d and %d bytes, and got %s.

			The answer is one frame with the same payload.`,
			cut, len(frame)-cut, wire.Show(answer))
	}
}

func messagesOfEveryKind(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{})
	client := ln.Dial()

	for _, message := range []string{
		" two\r\nlines \r\n", "\r", "\n\n", "   ", "q", "Q\r\n", "100%d", "%s", "a\x00b\x00",
		"\x00\x00\x00\x05hello", "\xff\xfe", "half a \xe4\xb8", "世界",
	} {
		client.Send(wire.Frames(message))
		answer := client.Receive()

		require.Equalf(t, wire.Frames(message), answer, `
			The client sent a frame with %s and got %s.

			A message is bytes of any kind, and each of them comes back.`,
			wire.Show(message), wire.Show(answer))
	}
}

func messagesOfEverySize(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{})
	client := ln.Dial()

	for _, size := range []int{
		0, 1, 127, 128, 129, 508, 512, 1024, 4092, 4096, 65535, 65536, 1<<20 - 1, 1 << 20,
	} {
		frame := wire.Frames(strings.Repeat("m", size))
		client.Send(frame)
		answer := client.Receive()

		require.Truef(t, frame == answer, `
			The client sent a frame with %d bytes of payload. The frame has %d bytes, and the
			client got %s.

			A payload may be empty and may have up to 1 MiB (1,048,576 bytes).`,
			size, len(frame), wire.Show(answer))
	}
}

func Test14_AnswersAThousandFrames(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#14-answer-a-thousand-frames", "process.go")
	wire.Test(e, "1,000 frames at once", func(t *wire.T) { thousandFrames(t, wire.NoLimit) })
	wire.Test(e, "1,000 frames at once, and 4,096 bytes fit between the two",
		func(t *wire.T) { thousandFrames(t, 4096) })
	wire.Test(e, "16 MiB of frames from a client that reads nothing",
		func(t *wire.T) { serverStopsReading(t, 256, 64<<10) })
	wire.Test(e, "a client that sends a frame and never reads",
		func(t *wire.T) { clientNeverReads(t, wire.Frames("hello")) })
	wire.Test(e, "a client that sends 1,000 frames and never reads",
		func(t *wire.T) { clientNeverReads(t, wire.Frames(thousandMessages()...)) })
	wire.Test(e, "a client that reads a byte every 20 seconds", clientReadsByteByByte)
	wire.Test(e, "a client that reads each answer after 25 seconds", clientReadsSlowly)
	wire.Test(e, "a client that asks nothing for two minutes", clientReadsAfterAPause)
	wire.Test(e, "WriteTimeout is 500 ms", shortWriteTimeout)
	wire.Test(e, "WriteTimeout is 0, and IdleTimeout is one minute", noWriteTimeout)
	wire.Test(e, "16 frames of 1 MiB from a client that reads nothing",
		func(t *wire.T) { serverStopsReading(t, 16, 1<<20) })
	wire.Test(e, "a client that sends a frame of 1 MiB and never reads",
		func(t *wire.T) { clientNeverReads(t, wire.Frames(strings.Repeat("m", 1<<20))) })
}

// thousandMessages returns "message 1" to "message 1000".
func thousandMessages() (messages []string) {
	for i := range 1000 {
		messages = append(messages, fmt.Sprintf("message %d", i+1))
	}
	return messages
}

func thousandFrames(t *wire.T, room int) {
	ln, _ := t.Serve(&echo.Server{})
	client := ln.Dial()
	client.Hold(room)
	messages := thousandMessages()
	all := wire.Frames(messages...)

	client.Send(all[:1000], all[1000:2000], all[2000:3003], // each cut is inside a frame
		all[3003:8891], all[8891:11891], all[11891:])
	t.Wait() // the server has done what it can
	client.Hold(wire.NoLimit)
	answers := client.Receive()

	right := rightAnswers(answers, messages)
	end := ""
	if client.Ended() {
		end = ", then the server ended the connection"
	}
	require.GreaterOrEqualf(t, len(answers), len(all), `
		The client sent %d bytes, then read. Only %d bytes came%s. Right answers, before the first
		wrong or missing one: %d.

		Every frame gets its answer, however many arrive together and wherever a Read ends. If
		each message gets a new Reader, it loses what the one before has read. The server serves a
		client until that client leaves.`,
		len(all), len(answers), end, right)
	reordered := answers != all && len(answers) == len(all) && containsAll(answers, messages)
	require.Falsef(t, reordered, `
		The client got all answers, but in another order. Right answers, before the first one out
		of order: %d.

		Only the order tells the client which answer belongs to which frame. One goroutine
		writes a client's answers, one after the other.`, right)
	require.Truef(t, answers == all, `
		The client sent %d bytes and got %d bytes. Right answers, before the first wrong one: %d.

		A payload that ReadFrame returned may change at its next call. If you keep one, copy it.`,
		len(all), len(answers), right)
}

// rightAnswers returns how many answers are right, from the first one on.
func rightAnswers(answers string, messages []string) (right int) {
	for _, message := range messages {
		rest, ok := strings.CutPrefix(answers, wire.Frames(message))
		if !ok {
			break
		}
		answers = rest
		right++
	}
	return right
}

// containsAll reports whether each message has an answer somewhere.
func containsAll(answers string, messages []string) bool {
	return !slices.ContainsFunc(messages, func(message string) bool {
		return !strings.Contains(answers, wire.Frames(message))
	})
}

func serverStopsReading(t *wire.T, frames, size int) {
	ln, _ := t.Serve(&echo.Server{})
	client := ln.Dial()
	client.Hold(4096)
	frame := wire.Frames(strings.Repeat("m", size))

	client.Send(slices.Repeat([]string{frame}, frames)...)
	t.Wait() // the server has done what it can

	require.False(t, client.Ended(), `
		The server ended the connection.

		What the program printed may say why. A client may take its time to read.`)
	read := frames*len(frame) - client.Unread()
	require.LessOrEqualf(t, read, 4<<20, `
		The server read %d bytes of them, more than 4 MiB, though the client read no answer.

		If it keeps the answers, they fill its memory. While Write waits, the server must stop
		reading. Then the kernel's buffers fill up, and the client must wait as well.`, read)
}

func clientNeverReads(t *wire.T, sent string) {
	ln, _ := t.Serve(&echo.Server{WriteTimeout: time.Minute, MaxClients: 2})
	other, greedy := ln.Dial(), ln.Dial()
	greedy.Hold(0)
	greedy.Send(sent)

	time.Sleep(50 * time.Second)
	other.Send(wire.Frames("and me?"))
	answer := other.Receive()

	require.Equalf(t, wire.Frames("and me?"), answer, `
		Meanwhile another client sent a frame with "and me?" and got %s.`, wire.Show(answer))
	require.False(t, greedy.IsClosed(), `
		The server closed the connection within 52 s, though WriteTimeout is one minute.`)

	time.Sleep(15 * time.Second)

	require.True(t, greedy.Ended(), `
		The client was still connected after 66 s, though WriteTimeout is one minute.

		If the end of client 2's picture says "waits in Write", Write has no deadline or a later
		one. If it says "waits for more", process ignored Write's error, which Flush returns. With
		neither, process returned without Close, or waits for something else.`)
	require.True(t, greedy.Closed(), `
		The server half-closed the connection after WriteTimeout, but didn't close it within a
		second.

		Between CloseWrite and Close it may read on, but only for a moment: set a deadline.`)
	next := ln.Dial()
	next.Send(wire.Frames("hello"))
	answer = next.Receive()
	require.Equalf(t, wire.Frames("hello"), answer, `
		MaxClients is 2. The server disconnected one of two clients, but the next one sent "hello"
		and got %s.

		A client holds its slot until process has returned. If a second goroutine serves the
		client, it must end as well.`, wire.Show(answer))
}

func clientReadsByteByByte(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{WriteTimeout: time.Minute})
	client := ln.Dial()
	client.Hold(0)
	client.Send(wire.Frames("hello"))

	for room := 1; room <= 3; room++ {
		time.Sleep(20 * time.Second)
		client.Hold(room)
	}
	time.Sleep(6 * time.Second)

	require.True(t, client.Closed(), `
		The client read 3 bytes of its answer within a minute. After 67 s the server hadn't closed
		the connection, though WriteTimeout is one minute.

		A byte now and then isn't enough: one Write has WriteTimeout for all its bytes.`)
}

func clientReadsSlowly(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{WriteTimeout: time.Minute})
	client := ln.Dial()
	begin := time.Now()

	for range 7 {
		client.Hold(0)
		client.Send(wire.Frames("take your time"))
		time.Sleep(25 * time.Second)
		client.Hold(wire.NoLimit)
		answer := client.Receive()

		require.Equalf(t, wire.Frames("take your time"), answer, `
			WriteTimeout is one minute. The client read every answer in time, but after %v it sent
			"take your time" and got %s.

			A deadline is a moment, not a duration: set a new one before each Write.`,
			time.Since(begin).Round(time.Second), wire.Show(answer))
	}
}

func clientReadsAfterAPause(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{WriteTimeout: time.Minute})
	client := ln.Dial()
	client.Send(wire.Frames("hello"))
	client.Receive()

	time.Sleep(2 * time.Minute)

	require.False(t, client.Ended(), `
		The server disconnected the client while it was silent, though IdleTimeout is 0.

		WriteTimeout is for Write alone. If SetDeadline sets it, it limits Read as well.`)
	for _, size := range []int{300_000, 10} {
		message := strings.Repeat("m", size)
		client.Send(wire.Frames(message))
		answer := client.Receive()
		require.Truef(t, answer == wire.Frames(message), `
			The client sent a frame with %d bytes of payload, read at once, and got %s, though
			WriteTimeout is one minute.

			If the deadline was set before the wait for the frame, it had passed before Write
			began. WriteFrame may call Write, as Flush does. Set the deadline just before each
			Write.`,
			size, wire.Show(answer))
	}
}

func shortWriteTimeout(t *wire.T) {
	server := &echo.Server{IdleTimeout: time.Hour, WriteTimeout: 500 * time.Millisecond}
	ln, _ := t.Serve(server)
	client := ln.Dial()

	for range 7 {
		client.Hold(0)
		client.Send(wire.Frames("take your time"))
		time.Sleep(400 * time.Millisecond)
		client.Hold(wire.NoLimit)
		answer := client.Receive()

		require.Equalf(t, wire.Frames("take your time"), answer, `
			A client that reads each answer after 400 ms sent "take your time" and got %s.

			WriteTimeout may be any duration, not only whole seconds.`, wire.Show(answer))
	}
	client.Hold(0)
	client.Send(wire.Frames("I read no more"))
	begin := time.Now()

	ended := client.Ended()
	require.True(t, ended && time.Since(begin) <= 550*time.Millisecond, `
		Then the client sent "I read no more", and it was still connected after 550 ms.

		The server may be late by a tenth at most. Write needs its deadline whether IdleTimeout is 0
		or not, and WriteTimeout may be any duration, not only whole seconds.`)
}

func noWriteTimeout(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{IdleTimeout: time.Minute})
	client := ln.Dial()
	client.Hold(0)

	client.Send(wire.Frames("good morning"))
	t.Sleep(3 * time.Hour)
	client.Hold(wire.NoLimit)
	answer := client.Receive()

	require.Equalf(t, wire.Frames("good morning"), answer, `
		The client sent "good morning", read three hours later, and got %s.

		A WriteTimeout of 0 means no timeout. IdleTimeout is for Read alone. If SetDeadline sets it,
		it limits Write as well.`, wire.Show(answer))
}

func Test15_AnswersAPipelineInFewWrites(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#15-answer-a-pipeline-in-few-writes", "process.go")
	wire.Test(e, "a frame and a half", func(t *wire.T) {
		frameAndAPart(t, headerSize+1)
	})
	wire.Test(e, "a frame, and half of the next one's header", func(t *wire.T) {
		frameAndAPart(t, headerSize/2)
	})
	wire.Test(e, "32 frames in one piece", framesInOnePiece)
}

func frameAndAPart(t *wire.T, part int) {
	ln, _ := t.Serve(&echo.Server{})
	client := ln.Dial()
	all := wire.Frames("one", "two")
	cut := len(wire.Frames("one")) + part

	client.Send(all[:cut])
	early := strings.Join(client.Arrived(), "")

	require.NotEmpty(t, early, `
		The server didn't answer the first frame at once.

		That frame is whole. Its client may be waiting for this very answer before it sends more.
		Flush before every Read that may wait, without a pause, whatever the read buffer holds.`)
	require.Equalf(t, wire.Frames("one"), early, `
		The server answered with %s instead of the first frame.`, wire.Show(early))

	client.Send(all[cut:])
	rest := client.Receive()

	require.Equalf(t, wire.Frames("two"), rest, `
		Then the rest of the second frame came, and the client got %s.

		The answer is the second frame, whole.`, wire.Show(rest))
}

func framesInOnePiece(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{})
	client := ln.Dial()
	sent := wire.Frames(slices.Repeat([]string{"a", "message"}, 16)...)

	client.Send(sent)
	pieces := client.ReceivePieces()

	answers := strings.Join(pieces, "")
	require.Truef(t, sent == answers, `
		The frames had %d bytes, and the client got %s.

		The answers are the same frames in the same order.`, len(sent), wire.Show(answers))
	require.LessOrEqualf(t, len(pieces), 2, `
		The server answered in %d Writes.

		On TCP each Write is a system call. Gather answers in the Writer, and flush before a Read
		that may wait. If you do that already, your Reader may read too little at a time: give its
		buffer 512 bytes or more.`, len(pieces))
}

func Test16_ClosesAConnectionThatBreaksTheProtocol(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#16-close-a-connection-that-breaks-the-protocol",
		"process.go")
	for _, broken := range []struct{ scenario, bytes string }{
		{"a header that announces one byte more than 1 MiB", "\x00\x10\x00\x01"},
		{"a header that announces 4 GiB", "\xff\xff\xff\xff"},
		{"a browser's request", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	} {
		wire.Test(e, broken.scenario, func(t *wire.T) { brokenFrame(t, broken.bytes) })
	}
	wire.Test(e, "a bad header, and two other clients", brokenFrameAndOthers)
	wire.Test(e, "a client that sends a frame, then a bad header, and never reads",
		func(t *wire.T) { clientNeverReads(t, wire.Frames("good")+"\xff\xff\xff\xff") })
}

// serveWithLog returns the log and a client of a server. The log has entries of
// the level and above.
func serveWithLog(t *wire.T, level slog.Level) (*wire.Log, *wire.Peer) {
	log := t.Log(level)
	ln, _ := t.Serve(&echo.Server{Log: log.Logger})
	return log, ln.Dial()
}

func brokenFrame(t *wire.T, broken string) {
	log, client := serveWithLog(t, slog.LevelDebug)

	client.Send(wire.Frames("good")+broken+wire.Frames("behind"), wire.Frames("far behind"))
	answer := client.Receive()

	require.False(t, answer == "" && !client.Ended(), `
		A good frame came before it and got no answer. The connection was still open.

		After a bad header there's nothing to wait for: process must flush and return.`)
	require.NotEmpty(t, answer, `
		A good frame came before it and got no answer.

		Its answer may still be in the Writer's buffer: flush once more when process ends.`)
	require.Equalf(t, wire.Frames("good"), answer, `
		A good frame came before it, other frames after it, and the client got %s.

		Answer the first frame and send nothing else. After a bad header the server can't know
		where a frame begins, and the client takes whatever comes for an answer.`,
		wire.Show(answer))
	requireCleanEnd(t, client)
	require.NotEmptyf(t, log.Failures(), `
		The server ended the connection, and Log got no warning and no error. It got %q.`, log)
}

// requireCleanEnd requires that the server closes the connection without a
// reset, within ten seconds.
func requireCleanEnd(t *wire.T, client *wire.Peer) {
	t.Helper()
	time.Sleep(10 * time.Second) // the server may read on for a while
	require.True(t, client.Ended(), `
		10 s later the connection was still open.

		After a bad header the server can't know where a frame begins, so there's nothing to
		wait for.`)
	require.True(t, client.Closed(), `
		The server half-closed the connection but hadn't closed it 10 s later.

		Until then it holds a descriptor and the client's slot.`)
	require.False(t, client.WasReset(), `
		The connection ended with a reset.

		If bytes are unread, Close sends one, and a reset can destroy answers that are still in
		flight. Half-close with CloseWrite, read for a while what the client still sends, then
		close.`)
}

func brokenFrameAndOthers(t *wire.T) {
	ln, serving := t.Serve(&echo.Server{MaxClients: 2})
	witness, client, next := ln.Dial(), ln.Dial(), ln.Dial()
	next.Send(wire.Frames("hello"))

	client.Send("\x00\x10\x00\x01")
	witness.Send(wire.Frames("and me?"))
	answer := witness.Receive()

	require.Equalf(t, wire.Frames("and me?"), answer, `
		A client that was connected before sent "and me?" and got %s. Serve %s.`,
		wire.Show(answer), serving)
	time.Sleep(10 * time.Second)
	answer = next.Receive()
	require.Equalf(t, wire.Frames("hello"), answer, `
		MaxClients is 2, and the third client waited for a slot. 10 s after the bad header it had
		sent "hello" and got %s. Serve %s.`, wire.Show(answer), serving)
}

func Test17_LimitsTheTimeForAWholeFrame(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#17-limit-the-time-for-a-whole-frame", "process.go")
	wire.Test(e, "a client that sends a byte of one frame every 19 seconds", drippingClient)
	wire.Test(e, "a client that's silent for 50 seconds, then sends for 45", slowClient)
	wire.Test(e, "a client that falls silent", clientFallsSilent)
	wire.Test(e, "IdleTimeout is 500 ms", shortIdleTimeout)
	wire.Test(e, "IdleTimeout is 0, and WriteTimeout is one minute", noIdleTimeout)
	wire.Test(e, "a client that reads late", lateReader)
}

func drippingClient(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{IdleTimeout: time.Minute})
	client := ln.Dial()
	frame := wire.Frames(strings.Repeat("d", 100))
	time.Sleep(30 * time.Second)

	for i := range 3 {
		client.Send(frame[i : i+1])
		early := strings.Join(client.Arrived(), "")
		require.Emptyf(t, early, `
			A part of a frame had arrived, and the server sent %s.

			That's no message yet.`, wire.Show(early))
		require.Falsef(t, client.IsClosed(), `
			When the frame's first byte was %d s old, the server had closed the connection, though
			IdleTimeout is one minute.

			Before its first byte the client was silent for 30 s. The wait for a frame has a
			deadline, and the rest of the frame gets a new one.`, i*19)
		time.Sleep(19 * time.Second)
	}
	client.Send(frame[3:4])
	time.Sleep(8 * time.Second)
	late := !client.Ended()
	time.Sleep(2 * time.Minute)

	require.True(t, client.Ended(), `
		The client stayed connected, though IdleTimeout is one minute.

		From its first bytes on, a frame has IdleTimeout to arrive. If the picture ends with a
		server that waits, Read has no deadline, or is called again after it. If not, Read failed
		and the connection wasn't closed.`)
	require.False(t, late, `
		The server disconnected the client, but later than 66 s after the frame's first byte,
		though IdleTimeout is one minute.

		From its first bytes on, a frame has IdleTimeout to arrive, whatever comes meanwhile.`)
	require.True(t, client.Closed(), `
		The server half-closed the connection but didn't close it.`)
}

func slowClient(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{IdleTimeout: time.Minute})
	client := ln.Dial()
	frame := wire.Frames("slow, and steady")

	for i := range 3 {
		time.Sleep(35 * time.Second)
		for _, piece := range []string{frame[:2], frame[2:9], frame[9:11], frame[11:]} {
			time.Sleep(15 * time.Second)
			client.Send(piece)
		}
		answer := client.Receive()

		require.Equalf(t, frame, answer, `
			IdleTimeout is one minute, and the client got %s instead of an answer to its frame %d.

			It was never silent for a minute, and no frame took that long. The wait for a frame has
			a deadline, and the rest of the frame gets a new one. When the frame is whole, both are
			over: begin anew.`, wire.Show(answer), i+1)
	}
}

func clientFallsSilent(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{IdleTimeout: time.Minute})
	client := ln.Dial()
	time.Sleep(20 * time.Second)
	client.Send(wire.Frames("hello"))
	client.Receive()

	time.Sleep(58 * time.Second)

	require.False(t, client.Ended(), `
		The server disconnected the client within a minute, though IdleTimeout is one minute.`)

	time.Sleep(6 * time.Second)
	late := !client.Ended()
	time.Sleep(2 * time.Minute)

	require.True(t, client.Ended(), `
		The client was silent for three minutes and still connected, though IdleTimeout is one
		minute.

		A client between two frames holds a slot as well: each wait needs a deadline.`)
	require.False(t, late, `
		The server disconnected the client, but only after 66 s or more, though IdleTimeout is one
		minute.

		It may be a tenth of IdleTimeout late at most.`)
}

func shortIdleTimeout(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{IdleTimeout: 500 * time.Millisecond})
	client := ln.Dial()
	frame := wire.Frames("still here")

	for range 7 {
		time.Sleep(300 * time.Millisecond)
		client.Send(frame[:7])
		time.Sleep(400 * time.Millisecond)
		client.Send(frame[7:])
		answer := client.Receive()

		require.Equalf(t, frame, answer, `
			The client was silent for 400 ms, then sent a frame within 400 ms, and got %s.

			IdleTimeout may be any duration, not only whole seconds.`, wire.Show(answer))
	}
	begin := time.Now().Add(-100 * time.Millisecond) // Receive waited for more

	ended := client.Ended()
	require.True(t, ended && time.Since(begin) <= 550*time.Millisecond, `
		Then the client was silent, and it was still connected after 550 ms.

		The server may be late by a tenth at most. IdleTimeout may be any duration, not only whole
		seconds.`)
}

func noIdleTimeout(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{WriteTimeout: time.Minute})
	client := ln.Dial()
	frame := wire.Frames("good morning")

	for range 2 {
		t.Sleep(time.Hour)
		client.Send(frame[:7])
		t.Sleep(time.Hour)
		client.Send(frame[7:])
		answer := client.Receive()

		require.Equalf(t, frame, answer, `
			The client was silent for an hour, took one more to send a frame, and got %s.

			An IdleTimeout of 0 means no timeout. If a deadline for Write has passed meanwhile, set
			it later, just before each Write. Set it with SetWriteDeadline: SetDeadline limits Read
			as well.`, wire.Show(answer))
	}
}

func lateReader(t *wire.T) {
	ln, _ := t.Serve(&echo.Server{IdleTimeout: time.Minute})
	client := ln.Dial()
	client.Hold(0)

	client.Send(wire.Frames("one"))
	time.Sleep(50 * time.Second)
	client.Send(wire.Frames("two"))
	time.Sleep(20 * time.Second)
	client.Hold(wire.NoLimit)
	answers := client.Receive()

	require.Containsf(t, answers, wire.Frames("two"), `
		IdleTimeout is one minute. The client sent "one", 50 s later "two", and began to read 20 s
		after that. It got %s.

		It was never silent for a minute: its second frame came in time. The time in Write doesn't
		count. If Read's deadline is set before Flush, it does: flush first.`,
		wire.Show(answers))
}

func Test18_LogsEachMessageWhole(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#18-log-each-message-whole", "process.go")
	wire.Test(e, "a message that arrives cut inside its characters", logOfACutMessage)
	wire.Test(e, "two frames in one piece", logOfTwoMessages)
	wire.Test(e, "a message with a percent sign", logOfAPercentSign)
	wire.Test(e, "a message with a line ending", logOfALineEnding)
	wire.Test(e, "an empty message", logOfAnEmptyMessage)
	wire.Test(e, "a client that never reads", logOfAClientThatNeverReads)
	wire.Test(e, "a connection that ends inside a frame", logOfATruncatedFrame)
	wire.Test(e, "two clients that fail, each in a way of its own", logSaysWhy)
	wire.Test(e, "a client that leaves after its answer", logOfAClientThatLeaves)
	wire.Test(e, "a log that writes its entries later", logThatWritesLater)
	wire.Test(e, "a reset inside a frame", logOfAReset)
	wire.Test(e, "IdleTimeout is over inside a frame",
		func(t *wire.T) { logOfASlowFrame(t, "") })
	wire.Test(e, "a message of 100,000 bytes", logOfALongMessage)
	wire.Test(e, "IdleTimeout is over inside a frame that came with a whole one",
		func(t *wire.T) { logOfASlowFrame(t, wire.Frames("hello")) })
}

func logOfACutMessage(t *wire.T) {
	log, client := serveWithLog(t, slog.LevelDebug)
	frame := wire.Frames("你好，世界")

	client.Send(frame[:6], frame[6:11], frame[11:])
	client.Receive()

	require.NotEmpty(t, log.String(), `
		The client sent a frame with "你好，世界", and Log got no entry, not even at debug level.

		Messages go to Server.Log, not to standard output or to another log.`)
	lines := log.Lines("你好，世界")
	require.Lenf(t, lines, 1, `
		The client sent a frame with "你好，世界", and %d lines of the log contain that. The log:
		%s

		Each message has one entry. A character may have several bytes, and only a whole message
		has only whole characters.`,
		len(lines), entries(log.String()))
	require.Containsf(t, lines[0], "level=DEBUG", `
		Log got the message at another level than debug:
		%s

		At any other level, you can't hide the messages without hiding what matters.`,
		entries(lines[0]))
}

func logOfTwoMessages(t *wire.T) {
	log, client := serveWithLog(t, slog.LevelDebug)
	long := "  the second one" + strings.Repeat(" and on", 20)

	client.Send(wire.Frames("the first one", long))
	client.Receive()

	first, second := log.Lines("the first one"), log.Lines("the second one")
	require.Truef(t, len(first) == 1 && len(second) == 1 && first[0] != second[0], `
		The frames had "the first one" and %s. The log:
		%s

		Each message gets an entry of its own.`, wire.Show(long), entries(log.String()))
	require.Containsf(t, second[0], long, `
		The second payload was %s, and Log got another text:
		%s

		The entry contains the message, all of it, with its spaces.`, wire.Show(long),
		entries(second[0]))
}

func logOfAPercentSign(t *wire.T) {
	log, client := serveWithLog(t, slog.LevelDebug)

	client.Send(wire.Frames("100%d sure"))
	client.Receive()

	require.Lenf(t, log.Lines("100%d sure"), 1, `
		The client sent a frame with "100%%d sure". The log:
		%s

		Give the message to Log as a value, never as a format.`, entries(log.String()))
}

func logOfALineEnding(t *wire.T) {
	log, client := serveWithLog(t, slog.LevelDebug)

	client.Send(wire.Frames("hello\ntime=2030-01-01T00:00:00 level=INFO msg=\"the disk is full\""))
	client.Receive()

	lines := log.Lines("the disk is full")
	require.Truef(t, len(lines) == 1 && strings.Contains(lines[0], "hello"), `
		The message had two lines, and no line of the log has both. The log:
		%s

		People take the second line for the server's own. Log one entry for a message, and give it
		the message as a value: then slog quotes it.`, entries(log.String()))
}

func logOfAnEmptyMessage(t *wire.T) {
	log, client := serveWithLog(t, slog.LevelDebug)
	client.Send(wire.Frames("hello"))
	client.Arrived()
	before := len(log.Lines("level="))

	client.Send(wire.Frames(""))
	client.Arrived()

	require.Greaterf(t, len(log.Lines("level=")), before, `
		The client sent a frame with "hello" and one without a payload. The log:
		%s

		An empty message is a message as well, so it has an entry.`, entries(log.String()))
}

func logOfAClientThatNeverReads(t *wire.T) {
	log, client := serveWithLog(t, slog.LevelDebug)
	client.Hold(0)

	client.Send(wire.Frames("I read nothing " + strings.Repeat("!", 300_000)))
	t.Wait()                             // the server waits in Write
	client.Send(wire.Frames("and more")) // a goroutine that reads on waits for that Write
	t.Wait()

	lines := log.Lines("I read nothing")
	require.NotEmpty(t, lines, `
		The client sent a frame with 300,015 bytes of payload and read nothing. Log had no entry for
		that message.

		Log a message as soon as it's whole, before you answer it: Write may wait for a long time.`)
	require.Lenf(t, lines, 1, `
		The client sent a frame with 300,015 bytes of payload and read nothing. Log had %d entries
		for that message. The exercise asks for one.`, len(lines))
}

func logOfATruncatedFrame(t *wire.T) {
	log, client := serveWithLog(t, slog.LevelDebug)

	client.Send(wire.Frames("Zq7 is not whole")[:7])
	client.CloseWrite()

	require.True(t, client.Closed(), `
		The client half-closed the connection inside a frame, and the server didn't close it.`)
	require.Emptyf(t, log.Lines("Zq7"), `
		The client half-closed the connection inside a frame, and Log got the part that came:
		%s

		A part of a message isn't a message.`, entries(log.String()))
	require.NotEmptyf(t, log.Failures(), `
		The client half-closed the connection inside a frame, and Log got no warning and no error.
		It got %q.

		A message was lost, and its sender may believe that it arrived.`, log)
}

func logSaysWhy(t *wire.T) {
	failures := func(sent string) string {
		log, client := serveWithLog(t, slog.LevelInfo)
		client.Send(sent)
		client.CloseWrite()
		client.Closed()
		return strings.Join(log.Failures(), "")
	}

	bad := failures("\xff\xff\xff\xff")
	cut := failures(wire.Frames("not whole")[:7])

	require.NotEqualf(t, withoutNumbers(bad), withoutNumbers(cut), `
		One client's header announced 4 GiB, and another client half-closed inside a frame. Log got
		the same words for both:
		%s

		Log says why a client is no longer served. ReadFrame's error does: add it to the entry.`,
		entries(bad+cut))
}

// withoutNumbers returns the text without digits, which tell times and ports.
func withoutNumbers(text string) string {
	return regexp.MustCompile(`[0-9]+`).ReplaceAllString(text, "")
}

func logOfAClientThatLeaves(t *wire.T) {
	log, client := serveWithLog(t, slog.LevelInfo)
	client.Send(wire.Frames("hello"))
	client.Receive()

	client.Close()
	t.Wait()

	require.Emptyf(t, log.Failures(), `
		Log got a warning or an error:
		%s

		A client may leave between two frames. That isn't a failure.`, entries(log.String()))
}

func logThatWritesLater(t *wire.T) {
	later := &laterHandler{records: new(records)}
	ln, _ := t.Serve(&echo.Server{Log: slog.New(later)})
	client := ln.Dial()

	messages := []string{"the first one", "THE OTHER ONE", "a third message"}
	for _, message := range messages {
		client.Send(wire.Frames(message))
		client.Receive()
	}
	client.Close()
	t.Wait()

	written := later.write(t)
	for _, message := range messages {
		require.Lenf(t, written.Lines(message), 1, `
			Three messages came, then the log wrote its entries. %q isn't in them:
			%s

			The slice that ReadFrame returns is valid until its next call, and a log may look at a
			value later. string(message) is a copy.`, message, entries(written.String()))
	}
}

// A laterHandler keeps records until it's told to write them.
type laterHandler struct {
	records *records
	attrs   []slog.Attr
}

type records struct {
	mu  sync.Mutex
	all []slog.Record
}

func (h *laterHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *laterHandler) Handle(_ context.Context, r slog.Record) error {
	r = r.Clone()
	r.AddAttrs(h.attrs...)
	h.records.mu.Lock()
	defer h.records.mu.Unlock()
	h.records.all = append(h.records.all, r)
	return nil
}

func (h *laterHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &laterHandler{h.records, append(slices.Clone(h.attrs), attrs...)}
}

func (h *laterHandler) WithGroup(string) slog.Handler { return h }

func (h *laterHandler) write(t *wire.T) *wire.Log {
	log := t.Log(slog.LevelDebug)
	h.records.mu.Lock()
	defer h.records.mu.Unlock()
	for _, r := range h.records.all {
		log.Handler().Handle(context.Background(), r)
	}
	return log
}

func logOfAReset(t *wire.T) {
	log, client := serveWithLog(t, slog.LevelDebug)
	client.Send(wire.Frames("not whole")[:7])
	t.Wait()

	client.Reset()
	t.Wait()

	require.NotEmptyf(t, log.Failures(), `
		The client had sent a part of a frame, then it reset the connection. Log got no warning and
		no error. It got %q.

		A message was lost, and its sender may believe that it arrived.`, log)
}

func logOfASlowFrame(t *wire.T, before string) {
	log := t.Log(slog.LevelDebug)
	ln, _ := t.Serve(&echo.Server{Log: log.Logger, IdleTimeout: time.Minute})
	client := ln.Dial()

	client.Send(before + wire.Frames("not whole")[:7])
	time.Sleep(3 * time.Minute)

	require.NotEmptyf(t, log.Failures(), `
		The client had sent a part of a frame and nothing more for three minutes. IdleTimeout is one
		minute, and Log got no warning and no error. It got %q.

		A message was lost, and its sender may believe that it arrived.`, log)
}

func logOfALongMessage(t *wire.T) {
	log, client := serveWithLog(t, slog.LevelDebug)
	long := numbers(100_000)

	client.Send(wire.Frames(long))
	client.Receive()

	require.Truef(t, len(log.Lines(long)) == 1, `
		The message isn't in the log, or not in one line. The log has %d bytes.

		The entry contains the message, all of it. The level decides whether messages are logged,
		so an entry needs no limit.`, len(log.String()))
}

func Test19_StillShutsDownGracefully(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#19-still-shut-down-gracefully", "process.go")
	wire.Test(e, "Shutdown, with idle clients", shutdownWithIdleClients)
	wire.Test(e, "Shutdown, while half a frame has arrived", shutdownInsideAFrame)
	wire.Test(e, "Shutdown, while a client is being answered", func(t *wire.T) {
		shutdownDuringAnAnswer(t, &echo.Server{IdleTimeout: time.Hour})
	})
	wire.Test(e, "Shutdown, before process reads on", shutdownBeforeTheNextRead)
	wire.Test(e, "Shutdown, when a message has just been logged", shutdownAfterTheLog)
	for _, at := range []struct{ scenario, before, sent string }{
		{"the first frame's deadline", "", ""},
		{"the next frame's deadline", "", wire.Frames("hello")},
		{"the deadline for the rest of a frame", "", wire.Frames("hello")[:6]},
		{"a deadline after seconds of silence", wire.Frames("hello"), ""},
	} {
		wire.Test(e, "Shutdown, while process sets "+at.scenario,
			func(t *wire.T) { shutdownDuringADeadline(t, at.before, at.sent) })
	}
	wire.Test(e, "Shutdown, while process ends a Write", shutdownDuringAWrite)
	wire.Test(e, "a connection that has no CloseWrite", connectionWithoutCloseWrite)
	for _, way := range waysOut {
		wire.Test(e, way.scenario, func(t *wire.T) { goroutinesEnd(t, way.leave) })
	}
	wire.Test(e, "Shutdown, while a client is being answered, and both timeouts are 0",
		func(t *wire.T) { shutdownDuringAnAnswer(t, &echo.Server{}) })
}

func shutdownWithIdleClients(t *wire.T) {
	log := t.Log(slog.LevelInfo)
	server := &echo.Server{IdleTimeout: time.Hour, Log: log.Logger}
	ln, serving := t.Serve(server)
	fresh, idle := ln.Dial(), ln.Dial()
	idle.Send(wire.Frames("hello"))
	answer := idle.Receive()
	require.Equalf(t, wire.Frames("hello"), answer, `
		Before Shutdown, a client sent a frame with "hello" and got %s.`, wire.Show(answer))

	stopping := t.Call(func() error { return server.Shutdown(context.Background()) })
	begin := time.Now()

	require.True(t, idle.Ended() && fresh.Ended(), `
		An idle client was still connected after a second.

		Shutdown sets a read deadline in the past, which ends Read. Then process must return and
		close the connection, not read again.`)
	require.LessOrEqual(t, time.Since(begin), 100*time.Millisecond, `
		Shutdown came, and the idle clients learned of it later than 100 ms after that.

		When Shutdown's deadline ends Read, process must return at once.`)
	require.Truef(t, stopping.Returned() && stopping.Err() == nil, `
		The server had ended both connections, but Shutdown didn't return nil: it %s.

		Shutdown returns when the last client has left. If the server reads on after CloseWrite, it
		must stop after a moment and close.`, stopping)
	require.Truef(t, serving.Returned() && errors.Is(serving.Err(), echo.ErrServerClosed), `
		The server had ended both connections, but Serve didn't return ErrServerClosed: it %s.`,
		serving)
	require.Emptyf(t, log.Failures(), `
		The server waited for the next frames of two clients, and Log got a warning or an error:
		%s

		The server itself ended these Reads. That isn't a failure.`, entries(log.String()))
}

func shutdownInsideAFrame(t *wire.T) {
	log := t.Log(slog.LevelInfo)
	server := &echo.Server{IdleTimeout: time.Hour, Log: log.Logger}
	ln, _ := t.Serve(server)
	client := ln.Dial()
	client.Send(wire.Frames("too late")[:7])
	t.Wait()

	stopping := t.Call(func() error { return server.Shutdown(context.Background()) })

	early := strings.Join(client.Arrived(), "")
	require.Emptyf(t, early, `
		The server sent %s.

		Half a frame is no message, so it gets no answer.`, wire.Show(early))
	require.True(t, client.Ended(), `
		The client was still connected after a second.

		The rest of the frame may never come.`)
	require.Truef(t, stopping.Returned() && stopping.Err() == nil, `
		The server had disconnected its only client. Shutdown didn't return nil: it %s.`, stopping)
	require.Emptyf(t, log.Failures(), `
		Shutdown disconnected a client that had sent half a frame. Log got a warning or an error:
		%s

		Shutdown cut that frame, not the client, so it's no failure.`, entries(log.String()))
}

func shutdownDuringAnAnswer(t *wire.T, server *echo.Server) {
	ln, _ := t.Serve(server)
	client := ln.Dial()
	client.Hold(0)
	question := "my last question" + strings.Repeat("?", 300_000)
	client.Send(wire.Frames(question), wire.Frames("and another one"))
	time.Sleep(5 * time.Second) // the server waits in Write

	stopping := t.Call(func() error { return server.Shutdown(context.Background()) })

	require.Falsef(t, stopping.Returned(), `
		Shutdown %s before the client had its answer.`, stopping)

	client.Hold(wire.NoLimit)
	answer := client.Receive()

	one, both := wire.Frames(question), wire.Frames(question, "and another one")
	require.Truef(t, answer == one || answer == both, `
		The server was writing a frame of %d bytes, and the client got %s.

		An answer that has begun must become whole, and nothing may follow but whole frames.`,
		len(one), wire.Show(answer))
	require.True(t, client.Ended(), `
		The client got its last answer, but it was still connected a second later.

		If process waits for the next frame, look for Shutdown before each Read, after you've set
		the deadline.`)
	time.Sleep(10 * time.Second) // the server may read on for a while
	require.False(t, client.WasReset(), `
		The connection ended with a reset.

		If bytes are unread, Close sends one, and a reset can destroy the answer that's still in
		flight. Half-close with CloseWrite, read for a while what the client still sends, then
		close.`)
	require.Truef(t, stopping.Returned() && stopping.Err() == nil, `
		The client got its last answer 10 s ago, but Shutdown didn't return nil: it %s.`, stopping)
}

func shutdownBeforeTheNextRead(t *wire.T) {
	log := t.Log(slog.LevelInfo)
	server := &echo.Server{IdleTimeout: time.Hour, Log: log.Logger}
	ln, _ := t.Serve(server)
	client := ln.Dial()
	client.Hold(0)
	client.Send(wire.Frames("hello"))
	t.Wait() // the server waits in Write

	t.Call(func() error { return server.Shutdown(context.Background()) })
	t.Wait()
	client.Hold(wire.NoLimit)
	client.Receive()
	client.Closed() // or a second has passed

	require.Emptyf(t, log.Failures(), `
		Shutdown came while the server was writing an answer. After that, Log got a warning or an
		error:
		%s

		A client that Shutdown disconnects is no failure. If your own Read notices Shutdown, its
		error must be one that causes no warning, such as os.ErrDeadlineExceeded.`,
		entries(log.String()))
}

func shutdownAfterTheLog(t *wire.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so Shutdown runs when the hook yields
	ctx := wire.NewContext()
	server := &echo.Server{IdleTimeout: time.Hour}
	shutdown := sync.OnceFunc(func() { t.Call(func() error { return server.Shutdown(ctx) }) })
	server.Log = wire.OnMessage("just in time", func() {
		shutdown()
		ctx.WaitUntilWatched()
	})
	ln, _ := t.Serve(server)
	client := ln.Dial()

	client.Send(wire.Frames("just in time"))
	answer := client.Receive()

	require.Equalf(t, wire.Frames("just in time"), answer, `
		ReadFrame had returned a message, and the server was logging it. Then Shutdown came, and
		the client got %s.

		A message that ReadFrame has returned gets its answer.`, wire.Show(answer))
	client.Close()
}

// shutdownDuringADeadline calls Shutdown just before process sets a deadline:
// its first one, or the next one after the bytes before were sent.
func shutdownDuringADeadline(t *wire.T, before, sent string) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so Shutdown runs when the hook yields
	server := &echo.Server{IdleTimeout: time.Hour}
	ln := t.Listen()
	ln.Dial() // another client
	client := ln.Dial()
	ctx := wire.NewContext()
	shutdown := sync.OnceFunc(func() { t.Call(func() error { return server.Shutdown(ctx) }) })
	stop := func() {
		shutdown()
		ctx.WaitUntilWatched() // then process sets its deadline
	}
	if before == "" && sent == "" {
		client.OnReadDeadline(stop)
	}
	t.Call(func() error { return server.Serve(ln) })
	client.Send(before)
	client.Arrived()
	client.OnReadDeadline(stop)

	client.Send(sent)
	time.Sleep(5 * time.Second)
	client.Receive()
	shutdown() // if process set no deadline

	require.True(t, client.Ended(), `
		The client was still connected a second later.

		Shutdown ends Read with a deadline. If process sets its own later, that one replaces it. Set
		the deadline first, then look whether Shutdown has begun.`)
	client.Close()
}

func shutdownDuringAWrite(t *wire.T) {
	clients := t.ShutDownDuringWrites(&echo.Server{IdleTimeout: time.Hour}, wire.Frames("hello"))

	for _, client := range clients {
		client.Receive()
		require.True(t, client.Ended(), `
			A client got its answer and was still connected a second later.

			If Shutdown sets the deadlines before it marks the server as stopping, process can set a
			new one in between and read on. Mark the server first, then set the deadlines.`)
		client.Close()
	}
}

func connectionWithoutCloseWrite(t *wire.T) {
	server := &echo.Server{IdleTimeout: time.Hour}
	ln := t.Listen()
	t.Call(func() error { return server.Serve(wire.PlainListener{Listener: ln}) })
	client := ln.Dial()
	client.Send(wire.Frames("hello"))
	client.Receive()

	stopping := t.Call(func() error { return server.Shutdown(context.Background()) })

	require.True(t, client.Closed(), `
		After Shutdown the connection was still open a second later.

		A net.Conn without CloseWrite is closed directly.`)
	require.Truef(t, stopping.Returned() && stopping.Err() == nil, `
		The server had closed the only connection. Shutdown didn't return nil: it %s.`, stopping)
}

func goroutinesEnd(t *wire.T, leave func(client *wire.Peer)) {
	server := &echo.Server{IdleTimeout: time.Minute, WriteTimeout: time.Minute}
	ln, _ := t.Serve(server)
	comeAndGo := func() {
		client := ln.Dial()
		client.Send(wire.Frames("hello"))
		client.Receive()
		leave(client)
		time.Sleep(time.Second)
	}
	comeAndGo()
	before := t.Goroutines()

	for range 10 {
		comeAndGo()
	}

	require.LessOrEqualf(t, t.Goroutines(), before, `
		The server has %d goroutines more than before the ten clients came.

		If a goroutine waits for Shutdown alone, it outlives its client: a goroutine leak. Each
		goroutine must end with its client, however the client leaves.`, t.Goroutines()-before)
}

// waysOut are the ways in which a client leaves after its first answer. The
// server may be late by a tenth, and may read on for a while.
var waysOut = []struct {
	scenario string
	leave    func(client *wire.Peer)
}{
	{"ten clients that have left", (*wire.Peer).Close},
	{"ten clients that have half-closed", (*wire.Peer).CloseWrite},
	{"ten clients that have reset", (*wire.Peer).Reset},
	{"ten clients that have reset during an answer",
		func(client *wire.Peer) {
			client.Hold(0)
			client.Send(wire.Frames("hello"))
			time.Sleep(time.Second) // the server waits in Write
			client.Reset()
		}},
	{"ten clients that have closed within a frame",
		func(client *wire.Peer) {
			client.Send(wire.Frames("not whole")[:7])
			time.Sleep(time.Second)
			client.Close()
		}},
	{"ten clients that have sent a bad header",
		func(client *wire.Peer) {
			client.Send("\xff\xff\xff\xff")
			time.Sleep(10 * time.Second)
		}},
	{"ten clients that were silent for longer than IdleTimeout",
		func(*wire.Peer) { time.Sleep(67 * time.Second) }},
	{"ten clients that read nothing for longer than WriteTimeout",
		func(client *wire.Peer) {
			client.Hold(0)
			client.Send(wire.Frames("hello"))
			time.Sleep(67 * time.Second)
		}},
}
