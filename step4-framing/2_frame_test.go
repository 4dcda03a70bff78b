package frame

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/wire"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(lesson.Run(m)) }

func Test03_WritesTheHeader(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#3-write-the-header")
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Lend()
		w := NewWriter(conn, 1<<21)

		before := "" // what came before
		for _, frame := range []struct{ payload, header, why string }{
			{"hello", "\x00\x00\x00\x05", "the header is four bytes, the most significant first, and counts the bytes of the payload, not its own"},
			{"世界", "\x00\x00\x00\x06", "the header counts bytes, and these 2 characters have 6"},
			{strings.Repeat("a", 300), "\x00\x00\x01\x2c", "300 is 1 times 256, and 44"},
			{strings.Repeat("b", 70_000), "\x00\x01\x11\x70", "70,000 does not fit into two bytes, and the header has four"},
			{strings.Repeat("c", 1<<20), "\x00\x10\x00\x00", "1 MiB is 16 times 65,536"},
		} {
			err := send(t, w, frame.payload)
			arrived := client.Receive()

			require.NoErrorf(t, err, "a payload of %d bytes, below the limit, and WriteFrame or Flush returned the error %v", len(frame.payload), err)
			require.NotEmptyf(t, arrived, "WriteFrame was called with %s, and then Flush, and nothing came: what WriteFrame keeps in a buffer, Flush sends",
				wire.Show(frame.payload))
			require.Falsef(t, before != "" && strings.HasPrefix(arrived, before), "WriteFrame was called with %s, and then Flush, and %s came, which begins with what Flush had sent "+
				"the time before: what was sent must leave the buffer, or Flush sends it again", wire.Show(frame.payload), wire.Show(arrived))
			before = arrived
			header := arrived[:min(HeaderSize, len(arrived))]
			require.Equalf(t, frame.header, header, "the header before a payload of %d bytes is % x and must be % x: %s", len(frame.payload), header,
				frame.header, frame.why)
			payload := arrived[HeaderSize:]
			require.Truef(t, frame.payload == payload, "behind the header of %s came %s", wire.Show(frame.payload), wire.Show(payload))
		}
	})
}

func Test04_SendsASmallFrameInOnePiece(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#4-send-a-small-frame-in-one-piece")
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Lend()
		w := NewWriter(conn, 1<<20)

		send(t, w, "hello")
		pieces := client.ReceivePieces()

		require.NotEmpty(t, pieces, "WriteFrame was called with \"hello\", and then Flush, and nothing came")
		require.Lenf(t, pieces, 1, "one small frame came in %d pieces: each is a Write of its own, and so a system call, and often a packet", len(pieces))

		sixteen := strings.Split(strings.Repeat("hello ", 15)+"hello", " ")
		send(t, w, sixteen...)
		pieces = client.ReceivePieces()

		require.Lenf(t, pieces, 1, "WriteFrame was called with \"hello\" 16 times, and then Flush once, and the frames came in %d pieces: "+
			"WriteFrame only puts a small frame into the buffer, and Flush sends them together, in one Write", len(pieces))
		require.Equalf(t, len(frames(sixteen...)), len(pieces[0]), "16 frames of 9 bytes were written, and the piece that came has %d bytes instead of %d",
			len(pieces[0]), len(frames(sixteen...)))
	})
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Lend()
		w := NewWriter(conn, 1<<20)

		t.Go(func() {
			payload := []byte("first")
			w.WriteFrame(payload)
			copy(payload, "other") // the next message, in the same slice
			w.Flush()
		})
		arrived := client.Receive()

		require.Truef(t, strings.HasSuffix(arrived, "first"), "WriteFrame was called with \"first\", the caller used its slice again before Flush, and %s "+
			"came. What is sent later must be copied: a slice is only a view of bytes that belong to the caller", wire.Show(arrived))
	})
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Lend()
		w := NewWriter(conn, 1<<20)

		var many []string
		for letter := 'a'; letter <= 'z'; letter++ {
			many = append(many, strings.Repeat(string(letter), 10_000))
		}
		send(t, w, many...)
		arrived := client.Receive()

		require.Equalf(t, len(frames(many...)), len(arrived), "26 frames with 10,000 bytes each were written before Flush, and of %d bytes %d came: what is too much for a "+
			"buffer must be sent earlier, or the buffer must grow", len(frames(many...)), len(arrived))
		for i, payload := range many {
			at := i*(HeaderSize+10_000) + HeaderSize
			require.Truef(t, arrived[at:at+10_000] == payload, "26 frames with 10,000 bytes each were written before Flush, and where the payload of number %d should be came %s",
				i+1, wire.Show(arrived[at:at+10_000]))
		}
	})
	calls := 0
	w := NewWriter(writeFunc(func(p []byte) (int, error) { calls++; return len(p), nil }), 10)
	w.Flush()
	require.Zero(e, calls, "nothing was written, and Flush has called Write: a server that flushes before each Read makes a system call for nothing, and one whose deadline may have passed")
}

// A writeFunc is an io.Writer.
type writeFunc func(p []byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

func Test05_RefusesToWriteOversizedFrames(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#5-refuse-to-write-oversized-frames")
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Lend()
		w := NewWriter(conn, 10)

		err := send(t, w, "eleven byte")
		arrived := client.Receive()

		require.Truef(t, arrived == "" && errors.Is(err, ErrTooLarge), "the limit is 10 bytes, WriteFrame was called with 11, %s came, and the error was %v. A frame above "+
			"the limit the peer must refuse, and it can never find the next one; a part of the message is another message. So nothing of it may reach the wire, and "+
			"ErrTooLarge tells the caller so", wire.Show(arrived), err)

		err = send(t, w, "ten bytes.")
		arrived = client.Receive()

		require.NoErrorf(t, err, "a payload of 10 bytes, with a limit of 10, after one that was refused, and the error was %v: the limit is the largest "+
			"payload, without its header, and a frame that was refused has done no harm to the others", err)
		require.Truef(t, strings.HasSuffix(arrived, "ten bytes."), "a payload of 10 bytes, with a limit of 10, after one that was refused, was written and flushed, and "+
			"%s came", wire.Show(arrived))
		require.Lenf(t, arrived, HeaderSize+10, "after a frame that was refused, one with 10 bytes was written and flushed, and %s came: something "+
			"of the first one was in the buffer", wire.Show(arrived))
	})
}

func Test06_ReadsAFrameHoweverItIsCut(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#6-read-a-frame-however-it-is-cut")
	frame := frames("hello")
	for cut := range len(frame) {
		wire.Test(e, func(t *wire.T) {
			client, conn := t.Lend()
			r := NewReader(conn, 1<<20)

			client.Send(frame[:cut], frame[cut:])
			got := next(t, r)

			how := fmt.Sprintf("in pieces of %d and %d bytes", cut, len(frame)-cut)
			var why string
			switch {
			case cut == 0:
				how = "in one piece"
				why = "first come four bytes with the length, the most significant first, then as many bytes as it says"
			case cut < HeaderSize:
				why = "one Read returns what is there, and the rest of the header is still under way: four bytes must have come before they are a number"
			case cut == HeaderSize:
				why = "the header was there, and nothing of the payload yet. Only Read waits for it: Buffered counts what is there"
			default:
				why = "one Read returns what is there, and the rest of the payload is still under way. Only Read waits for it: Buffered counts what is there"
			}
			require.Equalf(t, result{payload: "hello"}, got, "a frame with \"hello\" came %s, and ReadFrame %v: %s", how, got, why)
		})
	}
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Lend()
		r := NewReader(conn, 1<<20)

		for _, payload := range []string{"byte by byte", "and another one"} {
			client.Send(strings.Split(frames(payload), "")...)
			got := next(t, r)
			require.Equalf(t, result{payload: payload}, got, "a frame with %q came byte by byte, and ReadFrame %v", payload, got)
		}
	})
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Lend()
		r := NewReader(conn, 1<<20)

		long := strings.Repeat("0123456789abcdef", 1<<16)[1:]
		frame := frames(long)
		for at := 0; at < len(frame); at += 3000 {
			client.Send(frame[at:min(at+3000, len(frame))])
		}
		got := next(t, r)

		require.Truef(t, got == result{payload: long}, "a frame with 1,048,575 bytes came in pieces of 3,000, and ReadFrame %v: the limit is "+
			"1 MiB, and a frame may be larger than any buffer that was made before it came", got)
	})
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Lend()
		r := NewReader(iotest.DataErrReader(conn), 1<<20)

		client.Send(frames("last"))
		client.CloseWrite()
		got := next(t, r)

		require.Equalf(t, result{payload: "last"}, got, "Read returned the last frame and io.EOF at once, as an io.Reader may, and ReadFrame %v: "+
			"first come the n bytes, and only then the error", got)
	})
}

func Test07_SeparatesFramesThatArriveTogether(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#7-separate-frames-that-arrive-together")
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Lend()
		r := NewReader(conn, 1<<20)

		all := frames("one", "two", "three", "four")
		half := len(all) - 3
		client.Send(all[:half])

		for i, payload := range []string{"one", "two", "three"} {
			got := next(t, r)
			require.Falsef(t, i > 0 && got.err == errWaits, "three frames and a half came in one piece, and for frame %d ReadFrame waited for more, though it had come with the "+
				"first one: whoever has taken it from the connection must keep it, and look there before reading again", i+1)
			require.Equalf(t, result{payload: payload}, got, "three frames and a half came in one piece, and for frame %d, %q, ReadFrame %v: a Read ends "+
				"where it ends, not where a frame does", i+1, payload, got)
		}

		client.Send(all[half:])
		got := next(t, r)
		require.Equalf(t, result{payload: "four"}, got, "the first part of the frame with \"four\" came together with three frames before, the rest alone, and "+
			"ReadFrame %v: the first part must be kept until the rest comes", got)
	})
	room := 0
	NewReader(readFunc(func(p []byte) (int, error) { room = len(p); return 0, io.EOF }), 1<<20).ReadFrame()
	require.GreaterOrEqualf(e, room, 512, "the first call of Read had room for %d bytes, and 512 or more are asked for: whoever reads just the header, and then just the payload, "+
		"calls Read twice for each frame, though one call would bring a whole row of frames that have arrived", room)
}

// A readFunc is an io.Reader.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func Test08_AcceptsEmptyFrames(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#8-accept-empty-frames")
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Lend()
		w := NewWriter(conn, 1<<20)

		err := send(t, w, "")
		arrived := client.Receive()

		require.NoErrorf(t, err, "an empty payload was written, and the error was %v: an empty message is a message", err)
		require.Equalf(t, frames(""), arrived, "an empty payload was written and flushed, and %s came instead of a header with length 0: an empty message is a message, "+
			"and somebody may be waiting for it", wire.Show(arrived))
	})
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Lend()
		r := NewReader(conn, 1<<20)

		for _, payload := range []string{"", "a", "", ""} {
			client.Send(frames(payload))
			got := next(t, r)

			require.Falsef(t, payload == "" && got.err == errWaits, "an empty frame came, and ReadFrame waited for more: it is whole with its header, and a message "+
				"like any other; there is nothing more to read")
			require.Falsef(t, payload == "" && got.err != nil, "an empty frame came, and ReadFrame %v: a payload of length 0 is a message, "+
				"neither an end nor an error", got)
			require.Equalf(t, result{payload: payload}, got, "a frame with %q came, after an empty one, and ReadFrame %v", payload, got)
		}
	})
}

func Test09_TellsACleanEndFromATruncatedFrame(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#9-tell-a-clean-end-from-a-truncated-frame")
	frame := frames("hello")
	for cut := range len(frame) {
		for _, withEnd := range []bool{false, true} { // the last bytes and io.EOF by one Read
			wire.Test(e, func(t *wire.T) {
				client, conn := t.Lend()
				r := NewReader(conn, 1<<20)
				if withEnd {
					r = NewReader(iotest.DataErrReader(conn), 1<<20)
				}

				client.Send(frame, frame[:cut])
				client.CloseWrite()
				whole, end := next(t, r), next(t, r)

				require.Equalf(t, result{payload: "hello"}, whole, "a whole frame came, then %d of the %d bytes of another one, then the end, and for the whole frame ReadFrame %v", cut, len(frame), whole)
				require.Falsef(t, end.err == nil, "the stream ended with %d of the %d bytes of a frame, and ReadFrame %v: what is not whole is no message, and whoever takes it for "+
					"one acts on half an order", cut, len(frame), end)
				if cut == 0 {
					require.Truef(t, end.err == io.EOF, "the stream ended just behind a frame, and ReadFrame %v instead of io.EOF itself: that is a clean end, "+
						"and callers look for it with ==", end)
					return
				}
				require.Falsef(t, cut == HeaderSize && end.err == io.EOF, "the stream ended just behind a header, and ReadFrame returned io.EOF, as for a clean end: the frame is "+
					"cut. io.ReadFull returns io.EOF when not one of the bytes that it was to read has come, and these were those of the payload")
				require.ErrorIsf(t, end.err, io.ErrUnexpectedEOF, "the stream ended with %d of the %d bytes of a frame, and ReadFrame %v: the peer has broken off within a message, "+
					"and that is io.ErrUnexpectedEOF", cut, len(frame), end)
			})
		}
		wire.Test(e, func(t *wire.T) {
			client, conn := t.Lend()
			r := NewReader(conn, 1<<20)

			client.Send(frame[:cut])
			conn.SetReadDeadline(time.Now().Add(time.Second / 2))
			late := next(t, r)

			require.ErrorIsf(t, late.err, os.ErrDeadlineExceeded, "%d of the %d bytes of a frame came, and no more before the deadline of Read, and ReadFrame %v: the stream has not "+
				"ended, and whoever has set the deadline looks for that error", cut, len(frame), late)
		})
	}
}

func Test10_RefusesHostileLengths(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#10-refuse-hostile-lengths")
	const limit = 1 << 20
	for _, hostile := range []struct{ header, what string }{
		{"\x00\x10\x00\x01", "the limit and 1"},
		{"GET ", "1,195,725,856: a browser has come to the wrong port"},
		{"\x80\x00\x00\x00", "2,147,483,648, which is a negative number in an int32"},
		{"\xff\xff\xff\xff", "4,294,967,295, which is -1 in an int32"},
	} {
		wire.Test(e, func(t *wire.T) {
			client, conn := t.Lend()

			client.Send(hostile.header)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := NewReader(conn, limit)
			got := next(t, r)
			runtime.ReadMemStats(&after)
			taken := float64(after.TotalAlloc-before.TotalAlloc) / (1 << 20)

			require.Falsef(t, taken > 0.5, "the limit is 1 MiB, a header announced %s, and NewReader and ReadFrame took %.1f MiB of memory for a payload of which nothing had come: four bytes "+
				"cost a client nothing, and a Reader that has had no large frame needs no large buffer", hostile.what, taken)
			require.Falsef(t, got.err == errWaits, "the limit is 1 MiB, a header announced %s, and ReadFrame waited for the payload: that can be refused at "+
				"once, before anything more comes", hostile.what)
			require.ErrorIsf(t, got.err, ErrTooLarge, "the limit is 1 MiB, a header announced %s, and ReadFrame %v instead of ErrTooLarge", hostile.what, got)

			client.Send(frames("never"))
			for range 2 {
				got = next(t, r)
				require.ErrorIsf(t, got.err, ErrTooLarge, "a frame was refused, and after that ReadFrame %v: where the next frame begins, nobody knows any more; what "+
					"stands behind a header that was refused may be made to look like one. Once refused is always refused", got)
			}
		})
	}
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Lend()
		r := NewReader(conn, 10)

		client.Send(frames("ten bytes."))
		got := next(t, r)

		require.Equalf(t, result{payload: "ten bytes."}, got, "a frame came with 10 bytes, which is the limit, and ReadFrame %v: the limit is the largest payload, without its "+
			"header, that is not refused", got)
	})
}

func Test11_KeepsFramesWholeUnderConcurrentWrites(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#11-keep-frames-whole-under-concurrent-writes")
	for _, takes := range []struct {
		when  string
		bytes func(size int) int
	}{
		{"nothing of it was on the wire", func(size int) int { return 0 }},
		{"half of it was on the wire", func(size int) int { return size / 2 }},
		{"all of it was on the wire", func(size int) int { return size }},
	} {
		conn := newSlowConn(takes.bytes)
		w := NewWriter(conn, 1<<20)
		write := func(payload string) *call {
			return start(e, func() {
				w.WriteFrame([]byte(payload))
				w.Flush()
			})
		}

		first := write("aaaa")
		select {
		case <-conn.stopped:
		case <-first.done:
			e.Fatalf("WriteFrame and Flush were called, and have returned, and nothing was written")
		case <-time.After(5 * time.Second):
			first.wait()
		}
		between := start(e, func() { w.Flush() })
		between.rest()
		second := write("bbbb")
		second.rest() // it has done what it could while the first one was in Write
		close(conn.goOn)
		first.wait()
		between.wait()
		second.wait()

		payloads := ""
		for frame := range slices.Chunk(conn.wire, HeaderSize+4) {
			payloads += string(frame[min(HeaderSize, len(frame)):])
		}
		require.Equalf(e, "aaaabbbb", payloads, "one goroutine wrote \"aaaa\" and flushed; while it was in Write, when %s, another one flushed, and then "+
			"a third one wrote \"bbbb\" and flushed; on the wire was %q. While one goroutine is in WriteFrame or Flush, "+
			"no other one may touch the buffer or the connection: frames would be torn, be lost, come twice, or change their order", takes.when, conn.wire)
	}
	for _, payloads := range [][]string{{"aaaa"}, slices.Repeat([]string{strings.Repeat("a", 100_000)}, 20)} {
		wire.Test(e, func(t *wire.T) {
			client, conn := t.Lend()
			w := NewWriter(conn, 1<<20)

			client.Hold(6)
			conn.SetWriteDeadline(time.Now().Add(time.Second / 2))
			err := send(t, w, payloads...) // of which 6 bytes can go before the deadline
			torn := client.Receive()
			client.Hold(wire.NoLimit)
			conn.SetWriteDeadline(time.Time{})

			require.Truef(t, err != nil && err != errWaits, "the peer took 6 bytes of %d, then Write failed, and neither WriteFrame nor Flush returned that error: whoever has written must be told, also "+
				"when WriteFrame calls Write because the buffer is large", len(frames(payloads...)))
			var written, flushed error
			t.Go(func() { written, flushed = w.WriteFrame([]byte("bbbb")), w.Flush() })
			arrived := client.Receive()
			require.Emptyf(t, arrived, "Write failed when %s had gone, and then a frame was written by somebody who knew nothing of that: %s came. What the peer makes "+
				"of that, nobody knows: it still waits for the rest of the first frame, and whoever wrote that was told that it failed. After an error nothing may be sent any more", wire.Show(torn), wire.Show(arrived))
			require.Truef(t, written != nil && flushed != nil, "Write failed when %s had gone; the next frame was not sent, which is right, and WriteFrame returned the error %v, and "+
				"Flush %v: whoever calls one of them and is told of no error believes that the frame was sent", wire.Show(torn), written, flushed)
		})
	}
	w := NewWriter(io.Discard, 1<<20)
	var calls []*call
	for range 4 {
		calls = append(calls, start(e, func() { w.WriteFrame([]byte("hello")) })) // and no Flush, by which one would wait for the other
	}
	for _, call := range calls {
		call.wait()
	}
	e.AgainUnderRace()
}

func Test12_AllocatesNothingAfterTheFirstFrames(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#12-allocate-nothing-after-the-first-frames")
	payloads := []string{"hello", strings.Repeat("a", 128), strings.Repeat("b", 5000), strings.Repeat("c", 70_000)}
	wire.Test(e, func(t *wire.T) {
		source := &endless{bytes: frames(payloads...)}
		r := NewReader(source, 1<<20)
		wrong, allocated := "", 0.0
		round := func() {
			for _, payload := range payloads {
				source.taken = 0
				if wrong != "" {
					return
				}
				got, err := r.ReadFrame()
				if err != nil || string(got) != payload {
					wrong = result{string(got), err}.String() + " instead of " + wire.Show(payload)
				}
			}
		}

		t.Go(func() {
			for range 20 {
				round() // the buffers get as large as they must be
			}
			allocated = testing.AllocsPerRun(50, round)
		}).Returned()

		require.Emptyf(t, wrong, "a stream of frames, one behind the other, and ReadFrame %s", wrong)
		require.Zerof(t, allocated, "to read 4 frames took %.0f allocations, long after the first ones: memory that was needed once can be used again, in a buffer "+
			"that the Reader keeps. (A local array is allocated, too, if a slice of it goes to an io.Reader: nobody knows whether that keeps it)", allocated)
	})
	wire.Test(e, func(t *wire.T) {
		w := NewWriter(io.Discard, 1<<20)
		var bytes [][]byte
		for _, payload := range payloads {
			bytes = append(bytes, []byte(payload))
		}
		allocated := 0.0
		round := func() {
			for _, payload := range bytes {
				w.WriteFrame(payload)
				w.Flush()
			}
		}

		t.Go(func() {
			for range 20 {
				round()
			}
			allocated = testing.AllocsPerRun(50, round)
		}).Returned()

		require.Zerof(t, allocated, "to write 4 frames took %.0f allocations, long after the first ones: memory that was needed once can be used again, in a buffer "+
			"that the Writer keeps. (A local array is allocated, too, if a slice of it goes to an io.Writer: nobody knows whether that keeps it)", allocated)
	})
	wire.Test(e, func(t *wire.T) {
		client1, conn1 := t.Lend()
		client2, conn2 := t.Lend()
		r1, r2 := NewReader(conn1, 1<<20), NewReader(conn2, 1<<20)
		client1.Send(frames("first"))

		var first []byte
		t.Go(func() { first, _ = r1.ReadFrame() }).Returned()
		client1.Send(frames("later"))
		client2.Send(frames("other"))
		next(t, r2)

		require.Truef(t, bytes.Equal(first, []byte("first")), "ReadFrame returned \"first\"; then another Reader returned a frame, and in the slice with \"first\" "+
			"now stands %q: it is the caller's until the next ReadFrame of the same Reader, so two Readers cannot share a buffer", first)
	})
}
