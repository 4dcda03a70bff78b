package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program"
	"example.com/tcp-steps/internal/wire"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// serve has s serve a new listener, as main does.
func serve(t *wire.T, s *Server) (ln *wire.Listener, serving *wire.Task) {
	ln = t.Listen()
	return ln, t.Call(func() error { return s.Serve(ln) })
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

// logger returns a log at the given level, and what it was told.
func logger(level slog.Level) (*slog.Logger, *bytes.Buffer) {
	text := new(bytes.Buffer)
	return slog.New(slog.NewTextHandler(text, &slog.HandlerOptions{Level: level})), text
}

func Test13_AnswersEveryFrameWhole(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#13-answer-every-frame-whole")
	wire.Test(e, func(t *wire.T) {
		ln, serving := serve(t, &Server{})
		client := ln.Dial()

		frame := frames("hello")
		for cut := 1; cut < len(frame); cut++ {
			client.Send(frame[:cut])
			early := strings.Join(client.Arrived(), "")
			require.Emptyf(t, early, "of a frame of %d bytes %d have come, and the server has answered %s: what has come so far is no message yet, and the "+
				"server takes bytes for messages", len(frame), cut, wire.Show(early))
			client.Send(frame[cut:])
			answer := client.Receive()
			require.Equalf(t, frame, answer, "a frame with %q came in pieces of %d and %d bytes, and the answer was %s instead of a frame with the same message; as "+
				"for Serve, %s. WriteFrame puts the answer, and its header, into a buffer, and Flush sends it", "hello", cut, len(frame)-cut, wire.Show(answer), serving)
		}
		for _, message := range []string{" two\r\nlines \r\n", "\x00\x00\x00\x05hello", "\xff\xfe is no UTF-8", "100%d", "a\x00b\x00"} {
			client.Send(frames(message))
			answer := client.Receive()
			require.Equalf(t, frames(message), answer, "a frame with %q came, and the answer was %s instead of a frame with the same message: a message is bytes, of any "+
				"kind, and each of them comes back", message, wire.Show(answer))
		}
		for _, size := range []int{0, 1, 128, 129, 4096, 65536, 1 << 20} {
			frame := frames(strings.Repeat("m", size))
			client.Send(frame)
			answer := client.Receive()
			require.Truef(t, frame == answer, "a frame of %d bytes, header and all, came, and the answer was %s instead of a frame with the same message: a message may be "+
				"empty, and may have up to 1 MiB", len(frame), wire.Show(answer))
		}
	})
}

func Test14_AnswersAThousandFrames(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#14-answer-a-thousand-frames")
	var messages []string
	for i := range 1000 {
		messages = append(messages, fmt.Sprintf("message %d", i+1))
	}
	all := frames(messages...)
	pieces := []string{all[:1000], all[1000:2000], all[2000:3003], all[3003:]}
	for _, room := range []int{wire.NoLimit, 4096, 64 << 10} {
		wire.Test(e, func(t *wire.T) {
			ln, _ := serve(t, &Server{})
			client := ln.Dial()
			client.Hold(room) // so much of the answers fits into the buffers between the two

			client.Send(pieces...)
			t.Wait() // the server has done what it could
			client.Hold(wire.NoLimit)
			answers := client.Receive()

			same := 0
			for same < len(messages) && strings.HasPrefix(answers, frames(messages[:same+1]...)) {
				same++
			}
			require.Truef(t, answers == all, "a client sent 1,000 frames at once, and took its answers only then: answers that are right, from the first one on: %d of %d; bytes that "+
				"came: %d of %d. Every frame is to be answered, in its turn, however many come at once", same, len(messages), len(answers), len(all))
		})
	}
	for _, sent := range []struct{ what, bytes string }{{"a frame", frames("hello")}, {"frames", all}} {
		wire.Test(e, func(t *wire.T) {
			ln, _ := serve(t, &Server{WriteTimeout: time.Minute})
			client, slow := ln.Dial(), ln.Dial()
			client.Hold(1)
			client.Send(sent.bytes)
			for i := range 6 { // for two minutes and a half
				slow.Hold(0)
				slow.Send(frames("take your time"))
				time.Sleep(25 * time.Second)
				slow.Hold(wire.NoLimit)
				answer := slow.Receive()
				require.Equalf(t, frames("take your time"), answer, "WriteTimeout is a minute, a client takes each answer after 25 s, and for answer %d it got %s: a deadline is a moment, not a "+
					"duration, and has to be set anew for each Write", i+1, wire.Show(answer))
			}
			require.Truef(t, client.Closed(), "WriteTimeout is a minute, a client sent %s and has taken no answer for two, and it is still connected: it keeps its place, and what the "+
				"server holds for it, for ever. Either Write has no deadline, or it has failed in Flush, and nobody has looked at its error", sent.what)
		})
	}
}

func Test15_AnswersAPipelineInFewWrites(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#15-answer-a-pipeline-in-few-writes")
	wire.Test(e, func(t *wire.T) {
		ln, _ := serve(t, &Server{})
		client := ln.Dial()

		all := frames("one", "two")
		half := len(all) - 2
		client.Send(all[:half])
		early := strings.Join(client.Arrived(), "")

		require.NotEmpty(t, early, "one frame and a half came, and nothing was answered at once: the first frame is whole, and its answer must not wait for the second one, nor for "+
			"the time to pass. Its client may be waiting for just that answer before it goes on. Send what there is before a Read that may wait, and not when the buffer "+
			"happens to be empty")
		require.Equalf(t, frames("one"), early, "one frame and a half came, and %s was answered instead of the first frame", wire.Show(early))
		client.Send(all[half:])
		rest := client.Receive()
		require.Equalf(t, frames("two"), rest, "the rest of the second frame came, and %s was answered instead of the second frame", wire.Show(rest))

		sixteen := strings.Split(strings.Repeat("a message ", 16), " ")[:32]
		client.Send(frames(sixteen...))
		pieces := client.ReceivePieces()

		answers := strings.Join(pieces, "")
		require.Truef(t, frames(sixteen...) == answers && len(pieces) <= 2, "32 frames came in one piece, and the answer was %s, in %d Writes, instead of the same frames in one Write or "+
			"two: each is a system call, which costs more than all the rest that a server does for a small frame. Put answers into the buffer, and flush it before a Read that "+
			"may wait. If the server does that, the buffer of its frame.Reader is too small: 512 bytes or more are right", wire.Show(answers), len(pieces))
	})
}

func Test16_ClosesAConnectionThatBreaksTheProtocol(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#16-close-a-connection-that-breaks-the-protocol")
	for _, broken := range []struct{ bytes, what string }{
		{"\x00\x10\x00\x01", "a header that announces one byte more than 1 MiB"},
		{"\xff\xff\xff\xff", "a header that announces 4 GiB"},
		{"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "a browser's request"},
	} {
		wire.Test(e, func(t *wire.T) {
			log, text := logger(slog.LevelInfo)
			ln, serving := serve(t, &Server{Log: log})
			witness, client := ln.Dial(), ln.Dial()

			client.Send(frames("good")+broken.bytes+frames("behind"), frames("far behind"))
			answer := client.Receive()

			require.Equalf(t, frames("good"), answer, "a frame came, behind it %s, and behind that other frames; the answer was %s. The first frame is to be answered, with "+
				"a last Flush, and nothing else: what comes behind bytes that are no frame may look like one and is none, and whatever the server sends is taken for an answer", broken.what, wire.Show(answer))
			time.Sleep(10 * time.Second) // for a while the server may read what the client still sends
			require.Truef(t, client.Ended(), "%s came, and the connection is still open: where the next frame begins nobody knows any more, so there is nothing "+
				"to wait for", broken.what)
			require.Truef(t, client.Closed(), "%s came, and the server has ended its half of the connection, and not closed it 10 s later: what it takes up is never given back", broken.what)
			require.False(t, client.WasReset(), "the server has closed the connection while there were bytes that it had not read: that is a reset, and a reset can destroy answers "+
				"that are still on their way. CloseWrite says that no answer follows; then read, for a while, what the client still sends, and close")
			require.NotEmptyf(t, failuresIn(text), "%s came, the server has ended the connection, and Log was not told why, as a warning or an error: %q", broken.what, text)

			witness.Send(frames("and me?"))
			answer = witness.Receive()
			require.Equalf(t, frames("and me?"), answer, "one client has broken the protocol, and another one got %s for an answer; as for Serve, %s", wire.Show(answer), serving)
		})
	}
}

func Test17_LimitsTheTimeForAWholeFrame(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#17-limit-the-time-for-a-whole-frame")
	wire.Test(e, func(t *wire.T) {
		ln, _ := serve(t, &Server{IdleTimeout: time.Minute})
		dripping := ln.Dial()
		frame := frames(strings.Repeat("d", 100))
		for i := range 4 { // for 76 s
			dripping.Send(frame[i : i+1])
			early := strings.Join(dripping.Arrived(), "")
			require.Emptyf(t, early, "of a frame of %d bytes %d have come, and the server has answered %s", len(frame), i+1, wire.Show(early))
			time.Sleep(19 * time.Second)
		}
		require.True(t, dripping.Ended(), "IdleTimeout is a minute, and a client that sends a byte of the same frame every 19 s is still connected after 76 s: if each byte moves "+
			"the deadline forward, a hundred bytes keep a place for half an hour. From its first bytes on, a frame has IdleTimeout to become whole")
		require.True(t, dripping.Closed(), "IdleTimeout is a minute, and for a client that sends a byte of the same frame every 19 s the server has ended its half of the connection, and "+
			"not closed it after 76 s")
	})
	wire.Test(e, func(t *wire.T) {
		ln, _ := serve(t, &Server{IdleTimeout: time.Minute})
		client := ln.Dial()
		frame := frames("slow, and steady")
		for range 3 {
			time.Sleep(35 * time.Second) // it thinks
			for _, piece := range []string{frame[:2], frame[2:9], frame[9:11], frame[11:]} {
				time.Sleep(15 * time.Second)
				client.Send(piece)
			}
			answer := client.Receive()
			require.Equalf(t, frame, answer, "IdleTimeout is a minute, a client was silent for 50 s, and then sent a frame within 45 s: the answer was %s. It was never silent "+
				"for a minute, and no frame took one: the time to wait for a frame and the time for its bytes are two", wire.Show(answer))
		}
		time.Sleep(62 * time.Second)
		require.True(t, client.Closed(), "IdleTimeout is a minute, and a client that has sent nothing for that long is still connected")
	})
}

func Test18_LogsEachMessageWhole(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#18-log-each-message-whole")
	wire.Test(e, func(t *wire.T) {
		log, text := logger(slog.LevelDebug)
		ln, _ := serve(t, &Server{Log: log})
		client := ln.Dial()

		frame := frames("你好，世界")
		client.Send(frame[:6], frame[6:11], frame[11:]) // in the middle of characters
		client.Receive()
		require.NotEmptyf(t, text.String(), "a frame with %q came, and Log was told nothing, not even at debug level: whoever gives the server a log finds the messages there, and not on "+
			"standard output", "你好，世界")
		require.Lenf(t, linesWith(text, "你好，世界"), 1, "a frame with %q came, cut in the middle of a character, and Log was told: %s. A character can be several bytes, and only a whole "+
			"message has only whole characters", "你好，世界", strings.TrimSpace(text.String()))
		require.Containsf(t, linesWith(text, "你好，世界")[0], "level=DEBUG", "a message came, and Log was told so at another level than debug: %s", text)

		client.Send(frames("the first one", "the second one"))
		client.Receive()
		first, second := linesWith(text, "the first one"), linesWith(text, "the second one")
		require.Truef(t, len(first) == 1 && len(second) == 1 && first[0] != second[0], "two frames came in one piece, with %q and with %q, and Log was told: %s. Each message is to "+
			"have an entry of its own", "the first one", "the second one", strings.TrimSpace(text.String()))

		client.Send(frames("100%d sure"))
		client.Receive()
		require.Lenf(t, linesWith(text, "100%d sure"), 1, "a frame with %q came, and Log was told: %s. A message is a value for Log, and not a format", "100%d sure", strings.TrimSpace(text.String()))

		client.Send(frames("hello\ntime=2030-01-01T00:00:00 level=INFO msg=\"the disk is full\""))
		client.Receive()
		lines := linesWith(text, "the disk is full")
		require.Truef(t, len(lines) == 1 && strings.Contains(lines[0], "hello"), "a message with a line ending in it came, and Log was told: %s. It is one message, and whoever reads the log "+
			"takes a second line for the server's own. Give the message to Log as a value, which it quotes", strings.TrimSpace(text.String()))

		client.Send(frames("Zq7 is not whole")[:7])
		client.CloseWrite()
		require.True(t, client.Closed(), "a client has ended its half of the connection in the middle of a frame, and the server has not closed it")
		require.Emptyf(t, linesWith(text, "Zq7"), "a client has ended the connection in the middle of a frame, and Log was told of it as of a message: %s. What is not whole is no message", strings.TrimSpace(text.String()))
		require.NotEmptyf(t, failuresIn(text), "a client has ended the connection in the middle of a frame, and Log was told nothing of it, "+
			"as a warning or an error: a message was lost, and the one who sent it may believe that it arrived")
	})
	wire.Test(e, func(t *wire.T) {
		log, text := logger(slog.LevelInfo)
		ln, _ := serve(t, &Server{Log: log})
		client := ln.Dial()
		client.Send(frames("hello"))
		client.Receive()
		client.Close()
		t.Wait()
		require.Emptyf(t, failuresIn(text), "a client has got its answer and closed the connection, and Log was told: %s. That a client leaves between two "+
			"messages is no failure", strings.TrimSpace(text.String()))
	})
	wire.Test(e, func(t *wire.T) {
		kept := &keeper{records: new([]slog.Record)}
		ln, _ := serve(t, &Server{Log: slog.New(kept)})
		client := ln.Dial()
		for _, message := range []string{"the first one", "THE SECOND ONE"} {
			client.Send(frames(message))
			client.Receive()
		}
		client.Close()
		t.Wait()
		require.Lenf(t, linesWith(kept.text(), "the first one"), 1, "two messages came, Log has kept what it was told, and now writes it down: %s. The bytes of the first message were overwritten meanwhile. The slice "+
			"that ReadFrame returns holds until its next call, and who gets it may look at it later: string(message) is a copy", strings.TrimSpace(kept.text().String()))
	})
}

// A keeper is the handler of a log that writes nothing down before it is asked.
type keeper struct {
	records *[]slog.Record
	attrs   []slog.Attr
}

func (k *keeper) Enabled(context.Context, slog.Level) bool { return true }

func (k *keeper) Handle(_ context.Context, r slog.Record) error {
	r = r.Clone()
	r.AddAttrs(k.attrs...)
	*k.records = append(*k.records, r)
	return nil
}

func (k *keeper) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &keeper{k.records, append(slices.Clone(k.attrs), attrs...)}
}

func (k *keeper) WithGroup(string) slog.Handler { return k }

func (k *keeper) text() *bytes.Buffer {
	var text bytes.Buffer
	for _, r := range *k.records {
		slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}).Handle(context.Background(), r)
	}
	return &text
}

// failuresIn returns the lines of the log that are warnings or errors.
func failuresIn(log *bytes.Buffer) []string {
	return append(linesWith(log, "level=WARN"), linesWith(log, "level=ERROR")...)
}

// linesWith returns the lines of the log that contain the words.
func linesWith(log *bytes.Buffer, words string) []string {
	var lines []string
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, words) {
			lines = append(lines, line)
		}
	}
	return lines
}

// A watched context knows when Shutdown has asked for its end: what it does to stop the server, it has most likely done by then.
type watched struct {
	context.Context
	asked atomic.Bool
}

func (w *watched) Done() <-chan struct{} {
	w.asked.Store(true)
	return w.Context.Done()
}

// letStop gives way to Shutdown, which was called with w. Whoever calls it may hold a lock, so it does not wait for ever.
func (w *watched) letStop() {
	for tries, more := 0, 1000; tries < 100_000 && more > 0; tries++ {
		runtime.Gosched()
		if w.asked.Load() {
			more--
		}
	}
}

// An onMessage is a log that does something when it is told of a message.
type onMessage struct {
	slog.Handler
	do func()
}

func (o onMessage) Enabled(context.Context, slog.Level) bool { return true }

func (o onMessage) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelDebug {
		o.do()
	}
	return nil
}

func Test19_StillShutsDownGracefully(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#19-still-shut-down-gracefully")
	wire.Test(e, func(t *wire.T) {
		s := &Server{IdleTimeout: time.Hour}
		ln, serving := serve(t, s)
		idle, half, busy := ln.Dial(), ln.Dial(), ln.Dial()
		idle.Send(frames("hello"))
		answer := idle.Receive()
		require.Equalf(t, frames("hello"), answer, "a client sent a frame, and the answer was %s", wire.Show(answer))
		half.Send(frames("too late")[:7])
		busy.Hold(0)
		question := "my last question" + strings.Repeat("?", 5000)
		busy.Send(frames(question), frames("and another one"))
		time.Sleep(time.Second) // the server is writing its answer

		stopping := t.Call(func() error { return s.Shutdown(context.Background()) })

		require.True(t, idle.Ended(), "Shutdown was called, and a client that the server only waits for is still connected")
		early := strings.Join(half.Arrived(), "")
		require.Truef(t, half.Ended(), "Shutdown was called, of one client's frame only a part has come, and it is still connected: the rest may never come")
		require.Emptyf(t, early, "Shutdown was called, of one client's frame only a part has come, and %s was answered: half a frame is no message", wire.Show(early))
		require.Falsef(t, stopping.Returned(), "Shutdown has returned while a message is being answered: %s", stopping)

		busy.Hold(wire.NoLimit)
		answer = busy.Receive()

		whole := answer == frames(question) || answer == frames(question, "and another one")
		require.Truef(t, whole, "a frame was being answered when Shutdown was called, another one had arrived, and the answer was %s: every answer that is begun must be whole", wire.Show(answer))
		time.Sleep(10 * time.Second) // for a while the server may read what the client still sends
		require.True(t, busy.Ended(), "Shutdown was called, and a client that has got its answer is still connected")
		require.False(t, busy.WasReset(), "Shutdown was called, and the server has closed a connection on which there were bytes that it had not read: that is a reset, and a reset can destroy "+
			"the answer that is still on its way. CloseWrite says that no answer follows; then read, for a while, what the client still sends, and close")
		require.Truef(t, stopping.Returned() && stopping.Err() == nil && serving.Returned() && errors.Is(serving.Err(), ErrServerClosed), "the last client has left; as for Shutdown, which should "+
			"return nil, %s, and as for Serve, which should return ErrServerClosed, %s", stopping, serving)
	})
	wire.Test(e, func(t *wire.T) {
		ctx := &watched{Context: context.Background()}
		s := &Server{IdleTimeout: time.Hour}
		shutdown := sync.OnceFunc(func() { t.Call(func() error { return s.Shutdown(ctx) }) })
		s.Log = slog.New(onMessage{slog.DiscardHandler, func() {
			shutdown()
			ctx.letStop()
		}})
		ln, _ := serve(t, s)
		client := ln.Dial()
		client.Send(frames("just in time"))

		answer := client.Receive()

		require.Equalf(t, frames("just in time"), answer, "Shutdown was called when ReadFrame had returned a message, and the log was just being told of it, and its sender got %s: a message that the "+
			"server has read gets its answer", wire.Show(answer))
		client.Close()
	})
	whole, part := frames("hello"), frames("hello")[:6]
	for _, at := range []struct {
		first bool // at the first deadline of all, or at the first one after this was sent:
		sent  string
	}{{true, ""}, {false, whole}, {false, part}} {
		wire.Test(e, func(t *wire.T) {
			log, text := logger(slog.LevelInfo)
			s := &Server{IdleTimeout: time.Hour, Log: log}
			ln := t.Listen()
			ln.Dial() // another one, who is only there
			client := ln.Dial()
			ctx := &watched{Context: context.Background()}
			shutdown := sync.OnceFunc(func() { t.Call(func() error { return s.Shutdown(ctx) }) })
			stop := func() {
				shutdown()
				ctx.letStop() // and only then the deadline is set
			}
			if at.first {
				client.OnReadDeadline(stop)
			}
			t.Call(func() error { return s.Serve(ln) })
			t.Wait()
			if !at.first {
				client.OnReadDeadline(stop)
			}
			client.Send(at.sent)
			client.Receive()
			shutdown() // if no deadline was set

			require.True(t, client.Ended(), "Shutdown was called while the server was just setting the deadline of its next Read: that deadline has replaced the one by which Shutdown ends a Read, and the client "+
				"is still connected. Set the deadline first, and look then whether Shutdown has begun")
			require.Truef(t, at.sent == part || len(failuresIn(text)) == 0, "Shutdown was called while the server waited for the next frames of two clients, and Log was told: %s. That they are let go is no failure", strings.TrimSpace(text.String()))
		})
	}
}
