package echo_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/wire"
	"example.com/tcp-steps/step4-framing/frame"
	"github.com/stretchr/testify/require"
)

func Test03_WritesTheHeader(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#3-write-the-header", "frame/frame.go")
	wire.Test(e, "six frames, each flushed", sixFrames)
}

func sixFrames(t *wire.T) {
	client, conn := t.Lend()
	w := frame.NewWriter(conn, 1<<21)
	before := ""
	for _, f := range []struct{ payload, header, why string }{
		{"hello", "\x00\x00\x00\x05", "Big-endian; the header doesn't count itself."},
		{"世界", "\x00\x00\x00\x06", "The header counts bytes. These 2 characters have 6."},
		{" \x00\xff\r\n% ", "\x00\x00\x00\x07", "A payload may contain any bytes."},
		{strings.Repeat("a", 300), "\x00\x00\x01\x2c", "300 is 1 times 256, and 44."},
		{strings.Repeat("b", 70_000), "\x00\x01\x11\x70", "70,000 needs more than two bytes."},
		{strings.Repeat("c", 1<<20), "\x00\x10\x00\x00", "1 MiB is 16 times 65,536."},
	} {
		err := send(t, w, f.payload)
		arrived := client.Receive()

		require.NoErrorf(t, err, `
			The payload has %d bytes, fewer than the limit, but WriteFrame or Flush %s.`,
			len(f.payload), said(err))
		require.NotEmptyf(t, arrived, `
			WriteFrame was called with %s, then Flush, but nothing came.

			What WriteFrame keeps in a buffer, Flush sends.`, wire.Show(f.payload))
		require.Falsef(t, before != "" && strings.HasPrefix(arrived, before), `
			WriteFrame was called with %s, then Flush. What came, %s, begins with what the
			Flush before had sent.

			Bytes that were sent must leave the buffer, or the next Flush sends them again.`,
			wire.Show(f.payload), wire.Show(arrived))
		before = arrived
		requireFourBytes(t, f.payload, arrived)
		header := arrived[:min(headerSize, len(arrived))]
		require.Equalf(t, f.header, header, `
			The header of a payload of %d bytes was % x, but must be % x.

			%s`, len(f.payload), header, f.header, f.why)
		require.Truef(t, f.payload == arrived[headerSize:], `
			After the header of %s came %s.`,
			wire.Show(f.payload), wire.Show(arrived[headerSize:]))
	}
}

// requireFourBytes requires that a payload that arrived whole has four bytes
// before it.
func requireFourBytes(t *wire.T, payload, arrived string) {
	t.Helper()
	header, whole := strings.CutSuffix(arrived, payload)
	require.Falsef(t, whole && header == "", `
		WriteFrame was called with %s, then Flush. The payload came without a header.

		First come four bytes with its length. If you call binary.Write, look at its error: it
		refuses an int, which has no fixed size.`, wire.Show(payload))
	require.Falsef(t, whole && len(header) != headerSize, `
		WriteFrame was called with %s, then Flush. Before the payload came %d bytes: % x.

		A header has four bytes, however long the payload is.`,
		wire.Show(payload), len(header), header)
}

func Test04_SendsASmallFrameInOnePiece(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#4-send-a-small-frame-in-one-piece", "frame/frame.go")
	wire.Test(e, "one small frame", func(t *wire.T) { oneSmallFrame(t, "hello") })
	wire.Test(e, "sixteen small frames and one Flush",
		func(t *wire.T) { sixteenSmallFrames(t, "hello") })
	wire.Test(e, "a caller that uses its slice again", func(t *wire.T) { usedAgain(t, 5) })
	wire.Test(e, "a caller that uses a slice of 1 MiB again",
		func(t *wire.T) { usedAgain(t, 1<<20) })
	wire.Test(e, "26 frames with 10,000 bytes each before Flush", manyBytesBeforeFlush)
	wire.Test(e, "frames of many sizes before Flush", manySizesBeforeFlush)
	wire.Test(e, "Flush without a frame", flushOfNothing)
	wire.Test(e, "two calls of Flush after a frame", flushTwice)
	wire.Test(e, "one frame with 500 bytes",
		func(t *wire.T) { oneSmallFrame(t, strings.Repeat("a", 500)) })
	wire.Test(e, "sixteen frames with 128 bytes and one Flush",
		func(t *wire.T) { sixteenSmallFrames(t, strings.Repeat("a", 128)) })
	wire.Test(e, "one frame with 1 MiB", flushAfterALargeFrame)
}

func oneSmallFrame(t *wire.T, payload string) {
	client, conn := t.Lend()
	w := frame.NewWriter(conn, 1<<20)

	send(t, w, payload)
	pieces := client.ReceivePieces()

	require.NotEmptyf(t, pieces, `
		WriteFrame was called with %s, then Flush, but nothing came.`, wire.Show(payload))
	require.Lenf(t, pieces, 1, `
		The frame came in %d pieces. Each piece is a call of Write.

		On a TCP connection each Write is a system call, and often a packet. (net.Buffers
		makes one call only on a *net.TCPConn; a Writer's w can be any io.Writer.)`, len(pieces))
}

func sixteenSmallFrames(t *wire.T, payload string) {
	client, conn := t.Lend()
	w := frame.NewWriter(conn, 1<<20)

	sixteen := slices.Repeat([]string{payload}, 16)
	send(t, w, sixteen...)
	pieces := client.ReceivePieces()

	require.Lenf(t, pieces, 1, `
		The frames came in %d pieces.

		WriteFrame only puts a small frame into the buffer. Flush sends them together, in one
		Write.`, len(pieces))
	size := headerSize + len(payload)
	require.Truef(t, len(pieces[0]) == 16*size, `
		16 frames of %d bytes are %d bytes. %d bytes came: %s.`,
		size, 16*size, len(pieces[0]), wire.Show(pieces[0]))
}

func usedAgain(t *wire.T, size int) {
	client, conn := t.Lend()
	w := frame.NewWriter(conn, 1<<21)

	t.Go(func() {
		payload := []byte(strings.Repeat("1", size))
		w.WriteFrame(payload)
		copy(payload, strings.Repeat("2", size)) // the next message, in the same slice
		w.Flush()
	})
	arrived := client.Receive()

	require.Falsef(t, strings.Contains(arrived, "2"), `
		WriteFrame was called with %s. The caller put other bytes into its slice, then called
		Flush, and %s came.

		The slice belongs to the caller again when WriteFrame has returned. What is sent
		later must be copied.`, wire.Show(strings.Repeat("1", size)), wire.Show(arrived))
	require.Truef(t, strings.HasSuffix(arrived, strings.Repeat("1", size)), `
		WriteFrame was called with %s, then Flush, and %s came.

		The payload must come whole, after its header.`,
		wire.Show(strings.Repeat("1", size)), wire.Show(arrived))
}

func manyBytesBeforeFlush(t *wire.T) {
	client, conn := t.Lend()
	w := frame.NewWriter(conn, 1<<20)

	var many []string
	for letter := 'a'; letter <= 'z'; letter++ {
		many = append(many, strings.Repeat(string(letter), 10_000))
	}
	send(t, w, many...)
	arrived := client.Receive()

	require.Equalf(t, len(wire.Frames(many...)), len(arrived), `
		Of %d bytes, %d came.

		Each frame must come once. What doesn't fit into a buffer must be sent earlier, or the
		buffer must grow.`, len(wire.Frames(many...)), len(arrived))
	for i, payload := range many {
		at := i*(headerSize+10_000) + headerSize
		require.Truef(t, arrived[at:at+10_000] == payload, `
			Where the payload of frame %d should be, %s came.

			Frames must be sent in the order in which they were written.`,
			i+1, wire.Show(arrived[at:at+10_000]))
	}
}

func manySizesBeforeFlush(t *wire.T) {
	client, conn := t.Lend()
	w := frame.NewWriter(conn, 1<<21)

	payloads := atBorders()
	send(t, w, payloads...)
	arrived := client.Receive()

	sent := wire.Frames(payloads...)
	wrong := same(sent, arrived) + 1
	require.Falsef(t, arrived != sent && sorted(arrived) == sorted(sent), `
		All %d bytes came, but in another order. Byte %d is the first wrong one.

		If a large frame is written directly, it overtakes the small ones in the buffer. Send
		those first.`, len(sent), wrong)
	require.Truef(t, arrived == sent, `
		The frames have %d bytes, and %d bytes came. Byte %d is the first wrong one.

		Small frames in the buffer and large ones must be sent whole, once, and in the order
		in which they were written.`, len(sent), len(arrived), wrong)
}

// atBorders returns payloads with sizes around those that buffers often have.
// One of each size that's too large for such a buffer comes after a small one.
func atBorders() (payloads []string) {
	for _, border := range []int{512, 1024, 4096, 64 << 10, 128 << 10} {
		for _, size := range []int{border - headerSize, border - 1, border} {
			payloads = append(payloads, numbers(size))
		}
		payloads = append(payloads, "small", numbers(border+1))
	}
	return append(payloads, "small", numbers(1<<20), "small")
}

func flushOfNothing(t *wire.T) {
	_, conn := t.Lend()
	calls := &writeCalls{Writer: conn}
	w := frame.NewWriter(calls, 10)

	t.Go(func() { w.Flush() }).Returned()

	require.Empty(t, calls.sizes, `
		Nothing was written, but Flush called Write.

		A server that flushes before each Read would make a system call for nothing, perhaps
		after its deadline.`)
}

func flushAfterALargeFrame(t *wire.T) {
	_, conn := t.Lend()
	calls := &writeCalls{Writer: conn}
	w := frame.NewWriter(calls, 2<<20)

	send(t, w, strings.Repeat("a", 1<<20))

	require.NotZero(t, calls.last(), `
		WriteFrame was called with 1 MiB, then Flush. The last call of Write got no bytes.

		If WriteFrame sends a large frame itself, Flush may have nothing left to send.`)
}

func flushTwice(t *wire.T) {
	_, conn := t.Lend()
	calls := &writeCalls{Writer: conn}
	w := frame.NewWriter(calls, 10)

	send(t, w, "hello")
	before := len(calls.sizes)
	send(t, w) // only Flush

	require.Lenf(t, calls.sizes, before, `
		The first Flush sent the frame. The second one had nothing to send, but called Write
		with %d bytes.

		If Flush compares its buffer with nil, look at its length instead. A slice that was
		emptied with [:0] isn't nil.`, calls.last())
}

func Test05_RefusesToWriteOversizedFrames(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#5-refuse-to-write-oversized-frames", "frame/frame.go")
	wire.Test(e, "a limit of 10, a payload of 11 bytes, then one of 10", elevenBytes)
	wire.Test(e, "a limit of 10, two payloads of 10 bytes, then Flush", twiceTheLimit)
	wire.Test(e, "a limit of 10, a payload of 4 bytes, then one of 11", refusalAfterAFrame)
	wire.Test(e, "a limit of 0, a payload of 1 byte", func(t *wire.T) {
		_, conn := t.Lend()

		err := writeFrame(t, frame.NewWriter(conn, 0), "a")

		require.ErrorIsf(t, err, frame.ErrTooLarge, `
			WriteFrame %s.

			A limit of 0 allows only empty payloads.`, said(err))
	})
}

func elevenBytes(t *wire.T) {
	client, conn := t.Lend()
	w := frame.NewWriter(conn, 10)

	refused := writeFrame(t, w, "eleven byte")
	flushed := send(t, w) // only Flush
	arrived := client.Receive()

	require.Emptyf(t, arrived, `
		WriteFrame was called with 11 bytes, then Flush, and %s came.

		The peer can't read on after a frame above the limit, and part of a message is another
		message. Nothing of the frame may reach the wire.`, wire.Show(arrived))
	require.ErrorIsf(t, refused, frame.ErrTooLarge, `
		WriteFrame was called with 11 bytes, then Flush. Nothing came, which is right, but
		WriteFrame %s, and Flush %s.

		WriteFrame must return frame.ErrTooLarge, itself or wrapped. An error of Flush, which
		sends many frames, can't tell which one was refused.`, said(refused), said(flushed))

	err := send(t, w, "ten bytes.")
	arrived = client.Receive()

	require.NoErrorf(t, err, `
		After the refused frame, WriteFrame was called with 10 bytes, then Flush. One of them
		%s.

		The limit is the largest payload, its header not counted. A refused frame does no
		harm to the others.`, said(err))
	require.NotEmpty(t, arrived, `
		After the refused frame, "ten bytes." was written and flushed, but nothing came.

		If other frames come, the refusal has stopped this one. A refused frame does no harm to
		the others.`)
	require.Lenf(t, arrived, headerSize+10, `
		After the refused frame, "ten bytes." was written and flushed, and %s came.

		That frame has 14 bytes. If there are more, part of the refused frame was still in the
		buffer.`, wire.Show(arrived))
}

func refusalAfterAFrame(t *wire.T) {
	client, conn := t.Lend()
	w := frame.NewWriter(conn, 10)

	writeFrame(t, w, "good")
	writeFrame(t, w, "eleven byte")
	send(t, w) // only Flush
	arrived := client.Receive()

	require.Containsf(t, arrived, "good", `
		"good" was written, then a payload of 11 bytes was refused. Flush sent %s.

		A refused frame does no harm to the others, and one that's in the buffer stays there.`,
		wire.Show(arrived))
}

func twiceTheLimit(t *wire.T) {
	client, conn := t.Lend()
	w := frame.NewWriter(conn, 10)

	err := send(t, w, "ten bytes.", "and again.")
	arrived := client.Receive()

	require.Lenf(t, arrived, 2*(headerSize+10), `
		WriteFrame was called with "ten bytes." and with "and again.", then Flush. WriteFrame or
		Flush %s, and %s came.

		The limit is for each payload alone, however many frames are in the buffer.`,
		said(err), wire.Show(arrived))
}

func Test06_ReadsAFrameHoweverItIsCut(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#6-read-a-frame-however-it-is-cut", "frame/frame.go")
	whole := wire.Frames("hello")
	for cut := range len(whole) {
		scenario := fmt.Sprintf("a frame in pieces of %d and %d bytes", cut, len(whole)-cut)
		why := "Four bytes must have arrived before they're a number. One Read returns what is " +
			"there, perhaps one byte: read on until there are four."
		switch {
		case cut == 0:
			scenario = "a frame in one piece"
			why = "First come four bytes with the length, big-endian, then that many bytes."
		case cut >= headerSize:
			why = "One Read returns what is there. To wait for the rest, call Read again: " +
				"Buffered only counts what has arrived."
		}
		wire.Test(e, scenario, func(t *wire.T) {
			client, conn := t.Lend()
			r := frame.NewReader(conn, 1<<20)

			client.Send(whole[:cut], whole[cut:])
			got := next(t, r)

			require.Equalf(t, result{payload: "hello"}, got, `
				The payload is "hello". ReadFrame %v.

				%s`, got, why)
		})
	}
	wire.Test(e, "two frames, byte by byte", byteByByte)
	wire.Test(e, "a frame with 1,048,575 bytes in pieces of 3,000", aLargeFrame)
	wire.Test(e, "frames of many sizes, each sent when the one before was read", readSizes)
	wire.Test(e, "the last frame, together with io.EOF", withEOF)
	wire.Test(e, "a frame, together with a timeout", withTimeout)
}

func byteByByte(t *wire.T) {
	client, conn := t.Lend()
	r := frame.NewReader(conn, 1<<20)

	for _, payload := range []string{"byte by byte", " \x00\xff\r\n% "} {
		client.Send(strings.Split(wire.Frames(payload), "")...)
		got := next(t, r)

		require.Equalf(t, result{payload: payload}, got, `
			The payload is %q. ReadFrame %v.

			A frame can arrive in any number of pieces, and its payload may contain any
			bytes.`, payload, got)
	}
}

func aLargeFrame(t *wire.T) {
	client, conn := t.Lend()
	r := frame.NewReader(conn, 1<<20)

	long := strings.Repeat("0123456789abcdef", 1<<16)[1:]
	whole := wire.Frames(long)
	for at := 0; at < len(whole); at += 3000 {
		client.Send(whole[at:min(at+3000, len(whole))])
	}
	got := next(t, r)

	require.Truef(t, got == result{payload: long}, `
		The limit is 1 MiB. ReadFrame %v.

		A frame may be larger than any buffer that was made before it came.`, got)
}

func readSizes(t *wire.T) {
	client, conn := t.Lend()
	r := frame.NewReader(conn, 1<<21)

	for _, payload := range atBorders() {
		client.Send(wire.Frames(payload))
		got := next(t, r)

		require.Truef(t, got == result{payload: payload}, `
			The payload has %d bytes. ReadFrame %v. Byte %d is the first wrong one.

			A frame must come out as it went in, whatever its size.`,
			len(payload), got, same(payload, got.payload)+1)
	}
}

func withEOF(t *wire.T) {
	client, conn := t.Lend()
	r := frame.NewReader(iotest.DataErrReader(conn), 1<<20)

	client.Send(wire.Frames("last"))
	client.CloseWrite()
	got := next(t, r)

	require.Equalf(t, result{payload: "last"}, got, `
		One Read returned the frame with "last" and io.EOF, as an io.Reader may. ReadFrame %v.

		First come the n bytes, and only then the error.`, got)
}

func withTimeout(t *wire.T) {
	bytes, timeout := strings.NewReader(wire.Frames("hello")), iotest.ErrReader(iotest.ErrTimeout)
	r := frame.NewReader(iotest.DataErrReader(io.MultiReader(bytes, timeout)), 1<<20)

	got := next(t, r)

	require.Equalf(t, result{payload: "hello"}, got, `
		One Read returned the frame with "hello" and a timeout, as an io.Reader may. ReadFrame %v.

		Whatever the error is, the n bytes come first.`, got)
}

func Test07_SeparatesFramesThatArriveTogether(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#7-separate-frames-that-arrive-together",
		"frame/frame.go")
	wire.Test(e, "three frames and a half in one piece", threeFramesAndAHalf)
	wire.Test(e, "the first call of Read", firstRead)
	wire.Test(e, "500 frames with 200 bytes, each sent when the one before was read", smallestRead)
}

func threeFramesAndAHalf(t *wire.T) {
	client, conn := t.Lend()
	r := frame.NewReader(conn, 1<<20)

	all := wire.Frames("one", "two", "three", "four")
	half := len(all) - 3
	client.Send(all[:half])

	for i, payload := range []string{"one", "two", "three"} {
		got := next(t, r)

		require.Falsef(t, i > 0 && got.err == errWaits, `
			For frame %d, ReadFrame waited for more. But it had arrived with the first one.

			What Read brought beyond the first frame must be kept. ReadFrame looks there
			first, and reads only if that's not enough.`, i+1)
		require.Equalf(t, result{payload: payload}, got, `
			Frame %d has the payload %q. ReadFrame %v.

			One Read can bring several frames and part of the next one. Each ReadFrame returns
			one of them, whole.`, i+1, payload, got)
	}

	client.Send(all[half:])
	got := next(t, r)

	require.Equalf(t, result{payload: "four"}, got, `
		The first part of the frame with "four" came together with three frames, the rest
		alone. ReadFrame %v.

		The first part must be kept until the rest comes.`, got)
}

func firstRead(t *wire.T) {
	client, conn := t.Lend()
	first := &readCall{Reader: conn}
	r := frame.NewReader(first, 1<<20)

	client.Send(wire.Frames("hello"))
	next(t, r)

	require.GreaterOrEqualf(t, first.size, 512, `
		The slice given to Read had %d bytes. The exercise asks for 512 or more.

		A Reader that reads just the header, then just the payload, calls Read twice for each
		frame. One call could bring many frames.`, first.size)
}

func smallestRead(t *wire.T) {
	client, conn := t.Lend()
	first := &readCall{Reader: conn}
	r := frame.NewReader(first, 1<<20)
	for i := range 500 {
		client.Send(wire.Frames(strings.Repeat("a", 200)))
		first.size = 0
		next(t, r)

		require.GreaterOrEqualf(t, first.size, 512, `
			For frame %d, the Reader held nothing, and the slice given to Read had %d bytes. The
			exercise asks for 512 or more.

			If Read gets what's left at the end of a buffer, that becomes less with each frame.
			A Reader that holds nothing can begin at the start of its buffer.`, i+1, first.size)
	}
}

func Test08_AcceptsEmptyFrames(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#8-accept-empty-frames", "frame/frame.go")
	wire.Test(e, "WriteFrame with an empty payload", writeEmpty)
	wire.Test(e, "WriteFrame with nil", writeNil)
	wire.Test(e, "empty frames, and one that isn't", readEmpty)
	wire.Test(e, "an empty last frame, together with io.EOF", emptyWithEOF)
}

func writeEmpty(t *wire.T) {
	client, conn := t.Lend()
	w := frame.NewWriter(conn, 1<<20)

	err := send(t, w, "")
	arrived := client.Receive()

	require.NoErrorf(t, err, "WriteFrame or Flush %s.\n\nAn empty message is a message.", said(err))
	require.Equalf(t, wire.Frames(""), arrived, `
		Instead of a header with length 0, %s came.

		An empty message is a message, and the peer may be waiting for it.`, wire.Show(arrived))
}

func writeNil(t *wire.T) {
	client, conn := t.Lend()
	w := frame.NewWriter(conn, 1<<20)

	t.Go(func() {
		w.WriteFrame(nil)
		w.Flush()
	})
	arrived := client.Receive()

	require.Equalf(t, wire.Frames(""), arrived, `
		WriteFrame was called with nil, then Flush. Instead of a header with length 0, %s came.

		A nil slice has length 0, so it's an empty payload too.`, wire.Show(arrived))
}

func readEmpty(t *wire.T) {
	client, conn := t.Lend()
	r := frame.NewReader(conn, 1<<20)

	for _, payload := range []string{"", "a", "", ""} {
		client.Send(wire.Frames(payload))
		got := next(t, r)

		require.False(t, payload == "" && got.err == errWaits, `
			An empty frame came, and ReadFrame waited for more.

			With its header, an empty frame is whole. Nothing else of it will come.`)
		require.Falsef(t, payload == "" && got.err != nil, `
			An empty frame came, and ReadFrame %v.

			A payload of length 0 is a message, not an end and not an error.`, got)
		require.Equalf(t, result{payload: payload}, got, `
			After an empty frame, one with %q came. ReadFrame %v.`, payload, got)
	}
}

func emptyWithEOF(t *wire.T) {
	client, conn := t.Lend()
	r := frame.NewReader(iotest.DataErrReader(conn), 1<<20)

	client.Send(wire.Frames("a", ""))
	client.CloseWrite()
	first, empty := next(t, r), next(t, r)

	require.Equalf(t, []result{{payload: "a"}, {}}, []result{first, empty}, `
		One Read returned the frame with "a", an empty one, and io.EOF. For the empty one,
		ReadFrame %v.

		First come all frames that arrived with the error, and only then the error.`, empty)
}

func Test09_TellsACleanEndFromATruncatedFrame(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#9-tell-a-clean-end-from-a-truncated-frame",
		"frame/frame.go")
	for cut := range headerSize + len("hello") {
		for _, withEnd := range []bool{false, true} { // io.EOF comes with the last bytes
			scenario := fmt.Sprintf("the stream ends after %d of a frame's 9 bytes", cut)
			if cut == 0 {
				scenario = "the stream ends between two frames"
			}
			wire.Test(e, scenario, func(t *wire.T) { streamEnds(t, "hello", cut, withEnd) })
		}
		wire.Test(e, fmt.Sprintf("a deadline after %d of a frame's 9 bytes", cut),
			func(t *wire.T) { deadline(t, cut) })
	}
	wire.Test(e, "a reset after 6 of a frame's 9 bytes", resetInsideAFrame)
	wire.Test(e, "a Read that often returns neither a byte nor an error", emptyReads)
	for _, size := range []int{70_000, 1 << 20} {
		whole := headerSize + size
		for _, cut := range []int{headerSize, headerSize + 1, whole / 2, whole - 1} {
			wire.Test(e, fmt.Sprintf("the stream ends after %d of a frame's %d bytes", cut, whole),
				func(t *wire.T) { streamEnds(t, numbers(size), cut, false) })
		}
	}
}

func streamEnds(t *wire.T, payload string, cut int, withEnd bool) {
	client, conn := t.Lend()
	r := frame.NewReader(conn, 1<<21)
	if withEnd {
		r = frame.NewReader(iotest.DataErrReader(conn), 1<<21)
	}

	client.Send(wire.Frames("hello"), wire.Frames(payload)[:cut])
	client.CloseWrite()
	whole, end := next(t, r), next(t, r)

	require.Equalf(t, result{payload: "hello"}, whole, `
		For the whole frame before that, ReadFrame %v.`, whole)
	require.Errorf(t, end.err, `
		Then ReadFrame %v.

		A caller who gets no error takes what it gets for a message.`, end)
	require.Emptyf(t, end.payload, `
		Then ReadFrame %v.

		ReadFrame must never return part of a payload. A caller who takes it for a message
		acts on half an order.`, end)
	if cut == 0 {
		require.Truef(t, end.err == io.EOF, `
			Then ReadFrame %v, not io.EOF itself.

			That's a clean end. Callers look for it with ==.`, end)
		return
	}
	require.False(t, cut == headerSize && end.err == io.EOF, `
		Then ReadFrame returned io.EOF, which means a clean end.

		The frame is truncated: its payload is missing. If io.ReadFull was asked for the
		payload, it read no byte, and for io.ReadFull that's io.EOF.`)
	require.ErrorIsf(t, end.err, io.ErrUnexpectedEOF, `
		Then ReadFrame %v.

		The peer broke off within a message: that's io.ErrUnexpectedEOF.`, end)
}

func deadline(t *wire.T, cut int) {
	client, conn := t.Lend()
	r := frame.NewReader(conn, 1<<20)

	client.Send(wire.Frames("hello")[:cut])
	conn.SetReadDeadline(time.Now().Add(time.Second / 2))
	late := next(t, r)

	require.ErrorIsf(t, late.err, os.ErrDeadlineExceeded, `
		No more bytes came before Read's deadline. ReadFrame %v.

		The stream hasn't ended. A caller who sets a deadline looks for
		os.ErrDeadlineExceeded.`, late)
	require.Emptyf(t, late.payload, `
		No more bytes came before Read's deadline. ReadFrame %v.

		ReadFrame must never return part of a payload, whatever the error is. A caller who
		takes it for a message acts on half an order.`, late)
}

func resetInsideAFrame(t *wire.T) {
	client, conn := t.Lend()
	r := frame.NewReader(conn, 1<<20)

	client.Send(wire.Frames("hello")[:6])
	t.Wait()
	client.Reset()
	got := next(t, r)

	require.ErrorIsf(t, got.err, syscall.ECONNRESET, `
		The peer reset the connection. ReadFrame %v.

		io.ErrUnexpectedEOF says that the stream has ended. Any other error of Read goes to the
		caller as it is.`, got)
}

// emptyReads has ten calls of Read return nothing before each byte.
func emptyReads(t *wire.T) {
	bytes, calls := wire.Frames("hello"), 0
	r := frame.NewReader(readFunc(func(p []byte) (int, error) {
		if calls++; calls%11 != 0 {
			return 0, nil
		}
		n := copy(p[:min(len(p), 1)], bytes)
		bytes = bytes[n:]
		return n, nil
	}), 1<<20)

	got := next(t, r)

	require.Equalf(t, result{payload: "hello"}, got, `
		Before each byte of a frame with "hello", ten calls of Read returned 0 bytes and no
		error. ReadFrame %v.

		That's neither the end nor a failure. Nothing has happened, so call Read again.`, got)
}

func Test10_RefusesHostileLengths(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#10-refuse-hostile-lengths", "frame/frame.go")
	for _, hostile := range []struct{ header, what string }{
		{"\x00\x10\x00\x01", "one byte more than the limit"},
		{"GET ", "1,195,725,856 bytes: a browser came to the wrong port"},
		{"\x80\x00\x00\x00", "2,147,483,648 bytes, a negative number in an int32"},
		{"\xff\xff\xff\xff", "4,294,967,295 bytes, -1 in an int32"},
	} {
		wire.Test(e, "a header that announces "+hostile.what,
			func(t *wire.T) { hostileHeader(t, hostile.header) })
	}
	wire.Test(e, "a Writer that has written nothing", newWriter)
	wire.Test(e, "a frame as large as the limit", frameOfTheLimit)
	wire.Test(e, "a limit of 0, an empty frame, then one of 1 byte", limitOf0)
	if strconv.IntSize == 64 {
		wire.Test(e, "a limit of 4,294,967,296", func(t *wire.T) {
			hugeLimit(t, 1<<32,
				"If this limit is converted to 32 bits, it becomes 0. An int may have 64 bits.")
		})
	}
	wire.Test(e, "a frame, then a header that announces 4,294,967,295 bytes", refusalAfterAPayload)
	wire.Test(e, "a Writer with three small frames", writerOfSmallFrames)
	wire.Test(e, "a Reader with three small frames", readerOfSmallFrames)
	wire.Test(e, "a limit of math.MaxInt", func(t *wire.T) {
		hugeLimit(t, math.MaxInt,
			"If the code adds a header's size to this limit, the sum doesn't fit into an int.")
	})
}

func hostileHeader(t *wire.T, header string) {
	client, conn := t.Lend()
	var r *frame.Reader
	var got result

	client.Send(header)
	taken := allocated(func() {
		r = frame.NewReader(conn, 1<<20)
		got = next(t, r)
	})

	require.Falsef(t, taken > 0.55, `
		The limit is 1 MiB. NewReader and ReadFrame took %.1f MiB of memory before
		any of the payload had come.

		Sending four bytes costs a client nothing. A Reader that has received no large frame
		needs no large buffer.`, taken)
	require.False(t, got.err == errWaits, `
		The limit is 1 MiB. ReadFrame waited for more.

		The header alone tells that the frame is too large. ReadFrame can refuse it at once.`)
	require.ErrorIsf(t, got.err, frame.ErrTooLarge, `
		The limit is 1 MiB. ReadFrame %v.

		It must return frame.ErrTooLarge itself, or an error that wraps it.`, got)

	client.Send(wire.Frames("never"))
	for range 2 {
		got = next(t, r)
		require.ErrorIsf(t, got.err, frame.ErrTooLarge, `
			ReadFrame refused the frame. Called again, it %v.

			Where the next frame begins is unknown, and a peer can make anything look like a
			frame. Once refused means always refused.`, got)
	}
}

func newWriter(t *wire.T) {
	taken := allocated(func() {
		t.Go(func() { frame.NewWriter(io.Discard, 1<<20) }).Returned()
	})

	require.Falsef(t, taken > 0.55, `
		The limit is 1 MiB. NewWriter took %.1f MiB of memory.

		Most clients say little. A Writer that has written no large frame needs no large
		buffer, whatever the limit.`, taken)
}

func frameOfTheLimit(t *wire.T) {
	client, conn := t.Lend()
	r := frame.NewReader(conn, 10)

	client.Send(wire.Frames("ten bytes."))
	got := next(t, r)

	require.Equalf(t, result{payload: "ten bytes."}, got, `
		The limit is 10, and the payload has 10 bytes. ReadFrame %v.

		The limit is the largest payload, its header not counted.`, got)
}

func limitOf0(t *wire.T) {
	client, conn := t.Lend()
	r := frame.NewReader(conn, 0)

	client.Send(wire.Frames(""))
	empty := next(t, r)

	require.Equalf(t, result{}, empty, `
		For the empty frame, ReadFrame %v.

		A limit of 0 allows empty payloads.`, empty)

	client.Send(wire.Frames("a"))
	refused := next(t, r)

	require.ErrorIsf(t, refused.err, frame.ErrTooLarge, `
		For the frame of 1 byte, ReadFrame %v.

		A limit of 0 allows only empty payloads. It doesn't mean that there's no limit.`, refused)
}

func hugeLimit(t *wire.T, limit int64, why string) {
	client, conn := t.Lend()
	r, w := frame.NewReader(conn, int(limit)), frame.NewWriter(conn, int(limit))

	client.Send(wire.Frames("hello"))
	got := next(t, r)
	err := send(t, w, "hello")

	require.Equalf(t, result{payload: "hello"}, got, `
		A frame with "hello" came. ReadFrame %v.

		%s`, got, why)
	require.NoErrorf(t, err, `
		WriteFrame was called with "hello", then Flush. One of them %s.

		%s`, said(err), why)
}

func refusalAfterAPayload(t *wire.T) {
	client, conn := t.Lend()
	r := frame.NewReader(conn, 1<<20)

	client.Send(wire.Frames("good"))
	good := next(t, r)

	require.Equalf(t, result{payload: "good"}, good, `
		For the frame with "good", ReadFrame %v.`, good)

	client.Send("\xff\xff\xff\xff")
	for range 2 {
		refused := next(t, r)
		require.ErrorIsf(t, refused.err, frame.ErrTooLarge, `
			For the header, ReadFrame %v.

			It must return frame.ErrTooLarge itself, or an error that wraps it.`, refused)
		require.Emptyf(t, refused.payload, `
			For the header, ReadFrame %v.

			With an error, ReadFrame must return no payload.`, refused)
	}
}

func writerOfSmallFrames(t *wire.T) {
	taken := allocated(func() {
		w := frame.NewWriter(io.Discard, 1<<20)
		send(t, w, "one", "two", "three")
	})

	require.Falsef(t, taken > 0.55, `
		The limit is 1 MiB. NewWriter, WriteFrame and Flush took %.1f MiB of memory.

		Most clients say little. A Writer that has written no large frame needs no large
		buffer, whatever the limit.`, taken)
}

func readerOfSmallFrames(t *wire.T) {
	source := strings.NewReader(wire.Frames("one", "two", "three"))
	taken := allocated(func() {
		r := frame.NewReader(source, 1<<20)
		for range 3 {
			next(t, r)
		}
	})

	require.Falsef(t, taken > 0.55, `
		The limit is 1 MiB. NewReader and ReadFrame took %.1f MiB of memory.

		Most clients say little. A Reader that has received no large frame needs no large
		buffer, whatever the limit.`, taken)
}

func Test11_KeepsFramesWholeUnderConcurrentWrites(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#11-keep-frames-whole-under-concurrent-writes",
		"frame/frame.go")
	for _, stop := range []struct {
		when  string
		bytes func(size int) int
	}{
		{"before its first byte", func(size int) int { return 0 }},
		{"in the middle", func(size int) int { return size / 2 }},
		{"after its last byte", func(size int) int { return size }},
	} {
		heldWrite(e.Scenario("a Write that is held "+stop.when), stop.bytes)
	}
	wire.Test(e, "eight goroutines with small frames", func(t *wire.T) { eightGoroutines(t, 50) })
	wire.Test(e, "eight goroutines with large frames",
		func(t *wire.T) { eightGoroutines(t, 150_000) })
	otherDuringWrites(e.Scenario("a large frame, during the Writes of another one"))
	heldWriteOfThree(e.Scenario("a Write that is held, with frames of three lengths"))
	down := failure{taken: 6, err: errors.New("the network is down"), later: "bbbb"}
	wire.Test(e, "a Write that fails once, with one small frame",
		func(t *wire.T) { failOnce(t, down, "aaaa") })
	wire.Test(e, "a Write that fails once, with 20 frames of 100,000 bytes", func(t *wire.T) {
		failOnce(t, down, slices.Repeat([]string{strings.Repeat("a", 100_000)}, 20)...)
	})
	wire.Test(e, "a Write that fails once, with a payload of 1 MiB",
		func(t *wire.T) { failOnce(t, down, strings.Repeat("a", 1<<20)) })
	heldWriteFails(e.Scenario("a Write that is held, then fails"))
	wire.Test(e, "a Write that fails once, because of its deadline", func(t *wire.T) {
		failOnce(t, failure{taken: 6, err: os.ErrDeadlineExceeded, later: "bbbb"}, "aaaa")
	})
	wire.Test(e, "a Write that fails once, and takes no byte", func(t *wire.T) {
		failOnce(t, failure{taken: 0, err: down.err, later: "bbbb"}, "aaaa")
	})
	wire.Test(e, "a Write that fails once, then a payload of 1 MiB", func(t *wire.T) {
		failOnce(t, failure{taken: 6, err: down.err, later: strings.Repeat("b", 1<<20)}, "aaaa")
	})
	wire.Test(e, "a WriteFrame whose own Write fails", writeFrameFails)
	e.AgainUnderRace()
}

// heldWrite holds the first Write, and lets two other goroutines do what they
// can meanwhile.
func heldWrite(e *lesson.Exercise, takes func(size int) int) {
	conn := newSlowConn(takes)
	w := frame.NewWriter(conn, 1<<20)

	first := write(e, w, "aaaa")
	conn.holds(first)
	between := start(e, func() { w.Flush() })
	between.rest()
	second := write(e, w, "bbbb")
	second.rest() // it did what it could while the first one was in Write
	close(conn.goOn)
	first.wait()
	between.wait()
	second.wait()

	var payloads []string
	for f := range slices.Chunk(conn.wire, headerSize+4) {
		payloads = append(payloads, string(f[min(headerSize, len(f)):]))
	}
	require.Equalf(e, []string{"aaaa", "bbbb"}, payloads, `
		One goroutine wrote "aaaa" and flushed. While it was in Write, another one flushed,
		and a third one wrote "bbbb" and flushed. The payloads on the wire were %q.

		If two goroutines are in WriteFrame or Flush at the same time, frames are torn, lost,
		sent twice, or out of order. One lock must cover the buffer and Write.`, payloads)
}

// write writes a frame and flushes, in a goroutine of its own.
func write(e *lesson.Exercise, w *frame.Writer, payload string) *call {
	return start(e, func() {
		w.WriteFrame([]byte(payload))
		w.Flush()
	})
}

// eightGoroutines has eight goroutines write five frames each, onto a
// connection whose Write lets the others go first.
func eightGoroutines(t *wire.T, size int) {
	client, conn := t.Lend()
	w := frame.NewWriter(writeFunc(func(p []byte) (int, error) {
		for range 20 {
			runtime.Gosched()
		}
		return conn.Write(p)
	}), 1<<20)

	var errs [8]error // one for each goroutine: a lock would order their calls
	for i := range errs {
		t.Go(func() {
			for range 5 {
				written := w.WriteFrame(slices.Repeat([]byte{'a' + byte(i)}, size))
				errs[i] = cmp.Or(errs[i], written, w.Flush())
			}
		})
	}
	sent := strings.Join(client.Arrived(), "")

	requireWholeFrames(t, []byte(sent), size, cmp.Or(errs[:]...))
}

// requireWholeFrames requires that the frames of the eight goroutines were
// sent, in any order. err is what WriteFrame or Flush returned.
func requireWholeFrames(t *wire.T, sent []byte, size int, err error) {
	t.Helper()
	letters := lettersOf(t, sent, size)
	why := "If two goroutines use the buffer at the same time, frames are lost or sent twice. " +
		"One lock must cover all of it."
	if err != nil {
		why = "Write never failed, and no payload is larger than the limit. The limit is for " +
			"each payload alone, however many frames are in the buffer."
	}
	require.Equalf(t, "aaaaabbbbbcccccdddddeeeeefffffggggghhhhh", sorted(letters), `
		Each goroutine wrote five frames with its own letter. On the wire were frames with
		%s. WriteFrame or Flush %s.

		%s`, sorted(letters), said(err), why)
}

// lettersOf returns the letter of each frame that was sent. It requires that
// each payload is one letter, size times.
func lettersOf(t require.TestingT, sent []byte, size int) (letters string) {
	for f := range slices.Chunk(sent, headerSize+size) {
		payload := string(f[min(headerSize, len(f)):])
		letter := payload[:min(1, len(payload))]
		require.Truef(t, payload == strings.Repeat(letter, size), `
			Each goroutine wrote frames of %d times its own letter. On the wire, payload %d was %s:
			other bytes were within it.

			If another goroutine writes between the header and the end of a frame, two frames
			mix. One lock must cover all of it.`, size, len(letters)+1, wire.Show(payload))
		letters += letter
	}
	return letters
}

// otherDuringWrites writes a large frame. During each of its Writes, another
// goroutine with a large frame does what it can.
func otherDuringWrites(e *lesson.Exercise) {
	const size = 1 << 20
	var mu sync.Mutex // for sent and other: without a lock, both are in Write at once
	var sent []byte
	var other *call
	var w *frame.Writer
	w = frame.NewWriter(writeFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		if other == nil {
			other = write(e, w, strings.Repeat("b", size))
		}
		if goroutineID() != other.goroutine {
			mu.Unlock()
			other.rest()
			mu.Lock()
		}
		sent = append(sent, p...)
		return len(p), nil
	}), 1<<20)

	start(e, func() { w.WriteFrame([]byte(strings.Repeat("a", size))) }).wait()
	if other != nil { // WriteFrame called Write
		other.wait()
	}
	start(e, func() { w.Flush() }).wait()
	require.NotNilf(e, other, `
		A frame of %d bytes was written and flushed, but nothing was sent.`, size)
	other.wait()

	letters := sorted(lettersOf(e, sent, size))
	require.Equalf(e, "ab", letters, `
		One goroutine wrote a frame of letters a, another one a frame of letters b. On the wire
		were frames with %q.

		If two goroutines use the buffer at the same time, frames are lost or sent twice. One lock
		must cover all of it.`, letters)
}

// heldWriteOfThree lets two goroutines with frames of other lengths do what
// they can while the first one is in Write.
func heldWriteOfThree(e *lesson.Exercise) {
	conn := newSlowConn(func(size int) int { return size / 2 })
	w := frame.NewWriter(conn, 1<<20)

	first := write(e, w, "aaaa")
	conn.holds(first)
	second := write(e, w, "bb")
	second.rest()
	third := write(e, w, "cccccc")
	third.rest()
	close(conn.goOn)
	first.wait()
	second.wait()
	third.wait()

	sent := string(conn.wire)
	require.Containsf(e, []string{
		wire.Frames("aaaa", "bb", "cccccc"), wire.Frames("aaaa", "cccccc", "bb"),
	}, sent, `
		One goroutine wrote "aaaa". While it was in Write, another one wrote "bb", and a third
		one "cccccc". On the wire came %s.

		Each frame needs its own header. If a header is kept in a field of the Writer, the
		lock must cover it from the line that fills it.`, wire.Show(sent))
}

// A failure is how a Writer's first Write fails, and what's written after that.
type failure struct {
	taken int // bytes of the first frame that Write takes
	err   error
	later string
}

// why says why nothing may follow.
func (f failure) why() string {
	if f.taken == 0 {
		return "An error of Write is final, even if Write took no byte. After it, nothing may be " +
			"sent."
	}
	return "The peer still waits for the rest of the first frame. After an error, nothing may be " +
		"sent."
}

func writeFrameFails(t *wire.T) {
	calls := 0
	w := frame.NewWriter(writeFunc(func([]byte) (int, error) {
		calls++
		return 0, errors.New("the network is down")
	}), 1<<20)

	err := writeFrame(t, w, strings.Repeat("a", 1<<20))

	require.False(t, calls > 0 && err == nil, `
		WriteFrame called Write, and that Write failed. WriteFrame returned nil.

		The call that called Write returns its error. Otherwise the caller goes on as if its frame
		were on its way, and the next Flush may come much later.`)
}

// failOnce has the first Write fail. What comes later would succeed.
func failOnce(t *wire.T, f failure, payloads ...string) {
	client, conn := t.Lend()
	calls := 0
	w := frame.NewWriter(writeFunc(func(p []byte) (int, error) {
		if calls++; calls > 1 {
			return conn.Write(p)
		}
		n, _ := conn.Write(p[:min(len(p), f.taken)])
		return n, f.err
	}), 1<<20)

	err := send(t, w, payloads...)
	torn := client.Receive()

	require.Truef(t, err != nil && err != errWaits, `
		The first Write failed after %d bytes. Neither WriteFrame nor Flush returned an error.

		The caller must learn that its frame wasn't sent, even if WriteFrame called Write
		because the buffer was large.`, f.taken)
	early := torn[:min(len(torn), f.taken)]
	require.Equalf(t, 1, calls, `
		Write failed, but was called again: %s came, then %d bytes more.

		%s`, wire.Show(early), len(torn)-len(early), f.why())

	requireNoMore(t, client, w, torn, f)
}

// requireNoMore requires that w, whose Write has failed, sends no other frame.
func requireNoMore(t *wire.T, client *wire.Peer, w *frame.Writer, torn string, f failure) {
	t.Helper()
	var written, flushed error
	t.Go(func() { written, flushed = w.WriteFrame([]byte(f.later)), w.Flush() })
	arrived := client.Receive()

	require.Emptyf(t, arrived, `
		Write failed when %s had been sent. Then a caller who didn't know that wrote another
		frame, and %s came.

		%s`, wire.Show(torn), wire.Show(arrived), f.why())
	require.Truef(t, written != nil && flushed != nil, `
		Write failed when %s had been sent. Another frame wasn't sent, which is right, but
		WriteFrame %s and Flush %s.

		A caller who gets no error believes that the frame was sent.`,
		wire.Show(torn), said(written), said(flushed))
}

// heldWriteFails lets another goroutine do what it can while the first one is
// in Write. Then that Write fails.
func heldWriteFails(e *lesson.Exercise) {
	var torn int
	conn := newSlowConn(func(size int) int { torn = size / 2; return torn })
	conn.err = errors.New("the network is down")
	w := frame.NewWriter(conn, 1<<20)

	first := write(e, w, "aaaa")
	conn.holds(first)
	second := write(e, w, "bbbb")
	second.rest()
	close(conn.goOn)
	first.wait()
	second.wait()

	later := string(conn.wire[torn:])
	require.Emptyf(e, later, `
		One goroutine was in Write, and another one had called WriteFrame. Then Write failed
		after %d bytes, but was called again: %s came after them.

		After an error, nothing may be sent. Look at the error of the last Write only while
		you hold the lock: until then, it can change.`, torn, wire.Show(later))
}

func Test12_AllocatesNothingAfterTheFirstFrames(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#12-allocate-nothing-after-the-first-frames",
		"frame/frame.go")
	wire.Test(e, "two Readers", func(t *wire.T) { twoReaders(t, "first", "other") })
	wire.Test(e, "two Writers", func(t *wire.T) { twoWriters(t, "first", "other") })
	wire.Test(e, "a stream of frames, each read", readWithoutAllocating)
	wire.Test(e, "frames, each written and flushed", writeWithoutAllocating)
	wire.Test(e, "two Readers, one with half a header", halfAHeader)
	for _, large := range []struct {
		bytes string
		size  int
	}{{"70,000", 70_000}, {"1,048,576", 1 << 20}} {
		first, other := strings.Repeat("f", large.size), strings.Repeat("o", large.size)
		wire.Test(e, "two Readers, each with a payload of "+large.bytes+" bytes",
			func(t *wire.T) { twoReaders(t, first, other) })
		wire.Test(e, "two Writers, each with a payload of "+large.bytes+" bytes",
			func(t *wire.T) { twoWriters(t, first, other) })
	}
	wire.Test(e, "a stream of frames of 1 MiB, each read", readLargeFramesInPlace)
	wire.Test(e, "frames of 1 MiB, each written and flushed", writeLargeFramesInPlace)
}

var sizes = []string{
	"hello", strings.Repeat("a", 128), strings.Repeat("b", 5000), strings.Repeat("c", 70_000),
}

func readWithoutAllocating(t *wire.T) {
	source := &endless{bytes: wire.Frames(sizes...)}
	r := frame.NewReader(source, 1<<20)
	wrong := ""
	allocations := allocationsOf(t, func() {
		for _, payload := range sizes {
			source.taken = 0
			if wrong != "" {
				return
			}
			got, err := r.ReadFrame()
			if err != nil || string(got) != payload {
				wrong = result{string(got), err}.String() + " instead of " + wire.Show(payload)
			}
		}
	})

	require.Emptyf(t, wrong, "ReadFrame %s.", wrong)
	require.Zerof(t, allocations, `
		Reading 4 frames took %.0f allocations, long after the first ones.

		Reuse memory: keep a buffer in the Reader. (A local array is allocated too, if a
		slice of it goes to an io.Reader, which might keep it.)`, allocations)
}

func writeWithoutAllocating(t *wire.T) {
	w := frame.NewWriter(io.Discard, 1<<20)
	var payloads [][]byte
	for _, payload := range sizes {
		payloads = append(payloads, []byte(payload))
	}
	allocations := allocationsOf(t, func() {
		for _, payload := range payloads {
			w.WriteFrame(payload)
			w.Flush()
		}
	})

	require.Zerof(t, allocations, `
		Writing 4 frames took %.0f allocations, long after the first ones.

		Reuse memory: keep a buffer in the Writer. (A local array is allocated too, if a
		slice of it goes to an io.Writer, which might keep it.)`, allocations)
}

// allocationsOf returns how often round allocates, once the buffers are as
// large as they must be. Under the race detector that's no measure: a sync.Pool
// drops things at random there.
func allocationsOf(t *wire.T, round func()) (allocations float64) {
	t.Helper()
	t.Go(func() {
		for range 20 {
			round()
		}
		if !lesson.RaceDetector {
			allocations = testing.AllocsPerRun(50, round)
		}
	}).Returned()
	return allocations
}

func readLargeFramesInPlace(t *wire.T) {
	r := frame.NewReader(&endless{bytes: wire.Frames(strings.Repeat("a", 1<<20))}, 1<<20)

	taken := memoryOfTen(t, func() { r.ReadFrame() })

	require.Falsef(t, taken > 1, `
		After the first frames, reading ten more took %.1f MiB of memory.

		If each large payload gets a new slice, or the buffer is given up after each frame, every
		frame allocates again. Keep the buffer while frames come.`, taken)
}

func writeLargeFramesInPlace(t *wire.T) {
	w := frame.NewWriter(io.Discard, 1<<20)
	payload := bytes.Repeat([]byte("a"), 1<<20)

	taken := memoryOfTen(t, func() {
		w.WriteFrame(payload)
		w.Flush()
	})

	require.Falsef(t, taken > 1, `
		After the first frames, writing ten more took %.1f MiB of memory.

		If each large payload gets a new slice, or the buffer is given up after each frame, every
		frame allocates again. Keep the buffer, or send a large payload without a copy.`, taken)
}

// memoryOfTen returns how many MiB of memory ten calls of f take, once the
// buffers are as large as they must be. It counts no allocations: calls that
// take so long contain some of the tests' own. Under the race detector it
// returns 0, as allocationsOf does.
func memoryOfTen(t *wire.T, f func()) (taken float64) {
	t.Helper()
	defer nextGetsWhatWasPut()()
	ten := func() {
		for range 10 {
			f()
		}
	}
	t.Go(func() {
		ten()
		if !lesson.RaceDetector {
			taken = allocated(ten)
		}
	}).Returned()
	return taken
}

// nextGetsWhatWasPut makes sure that what goes back to a sync.Pool is what the
// next Get returns. Each CPU has its own part of a pool, so there's only one.
// And no garbage collection empties the pool. The function that it returns ends
// that.
func nextGetsWhatWasPut() (end func()) {
	cpus, percent := runtime.GOMAXPROCS(1), debug.SetGCPercent(-1)
	return func() {
		runtime.GOMAXPROCS(cpus)
		debug.SetGCPercent(percent)
	}
}

func twoReaders(t *wire.T, payload, other string) {
	defer nextGetsWhatWasPut()()
	client1, conn1 := t.Lend()
	client2, conn2 := t.Lend()
	r1, r2 := frame.NewReader(conn1, 1<<20), frame.NewReader(conn2, 1<<20)

	client1.Send(wire.Frames(payload))
	var first []byte
	var err error
	t.Go(func() { first, err = r1.ReadFrame() }).Returned()
	require.Truef(t, string(first) == payload, `
		A frame with %s came. ReadFrame %v.`, wire.Show(payload), result{string(first), err})
	client1.Send(wire.Frames("later"))
	client2.Send(wire.Frames(other))
	next(t, r2)

	require.Truef(t, string(first) == payload, `
		ReadFrame returned %s. Then another Reader returned a frame, and the slice with
		%[1]s held %s.

		A payload belongs to the caller until the next ReadFrame of the same Reader. Two
		Readers can't share a buffer.`, wire.Show(payload), wire.Show(string(first)))
}

func twoWriters(t *wire.T, payload, other string) {
	defer nextGetsWhatWasPut()()
	var sent []byte
	w2 := frame.NewWriter(io.Discard, 1<<20)
	w1 := frame.NewWriter(writeFunc(func(p []byte) (int, error) {
		w2.WriteFrame([]byte(other))
		w2.Flush()
		sent = append(sent, p...)
		return len(p), nil
	}), 1<<20)

	t.Go(func() {
		w1.WriteFrame([]byte(payload))
		w1.Flush()
	}).Returned()

	require.Truef(t, strings.HasSuffix(string(sent), payload), `
		While one Writer was in Write with %s, another one wrote %s. On the first one's wire was %s.

		If a buffer goes back to a pool, it belongs to the next Writer. It may go back only
		when Write has returned.`, wire.Show(payload), wire.Show(other), wire.Show(string(sent)))
}

func halfAHeader(t *wire.T) {
	client1, conn1 := t.Lend()
	client2, conn2 := t.Lend()
	r1, r2 := frame.NewReader(conn1, 1<<20), frame.NewReader(conn2, 1<<20)
	const half = headerSize / 2
	other := strings.Repeat("b", 70_000) // its header begins with other bytes

	client1.Send(wire.Frames("first")[:half])
	var first result
	reading := t.Go(func() {
		payload, err := r1.ReadFrame()
		first = result{string(payload), err}
	})
	t.Wait()
	client2.Send(wire.Frames(other))
	second := next(t, r2)
	client1.Send(wire.Frames("first")[half:])
	if !reading.Returned() {
		first = result{err: errWaits}
	}

	require.Truef(t, second == result{payload: other}, `
		One Reader had 2 bytes of a header. For another one a frame of 70,000 bytes came, and
		its ReadFrame %v.`, second)
	require.Equalf(t, result{payload: "first"}, first, `
		One Reader had 2 bytes of the header of "first". Then another one read a frame of
		70,000 bytes. The rest of "first" came, and the first one's ReadFrame %v.

		If the header is read into a package variable, all Readers write into it. Keep it in
		the Reader.`, first)
}
