package echo_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/wire"
	"example.com/tcp-steps/step4-framing/frame"
)

// FuzzFrames looks for bytes that a Reader takes for other frames when they
// arrive in other pieces, and for frames that a Writer writes as other bytes.
// Its examples run with the exercises. To look for more, run in the step's
// folder:
//
//	go test -run '^$' -fuzz FuzzFrames -fuzztime 1m -fuzzminimizetime 1s
func FuzzFrames(f *testing.F) {
	lesson.SkipWhileRed(f)
	for _, stream := range []string{
		"",
		wire.Frames("hello"),
		wire.Frames("", "a", "", "世界"),
		wire.Frames("cut")[:6],
		"\x00\x00\x00\x05",
		wire.Frames("before") + "\xff\xff\xff\xff" + wire.Frames("behind"),
		"GET / HTTP/1.1\r\n\r\n",
		wire.Frames(string(make([]byte, 1000))),
	} {
		f.Add([]byte(stream))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		done, wrong := make(chan struct{}), ""
		go func() {
			defer close(done)
			defer func() {
				if value := recover(); value != nil {
					wrong = fmt.Sprintf("%q made the frame package panic: %v", stream, value)
				}
			}()
			wrong = checkStream(stream)
		}()
		endInTime(done)
		if wrong != "" {
			t.Fatal(wrong)
		}
	})
}

const fuzzLimit = 1 << 10

// checkStream returns what's wrong with the frames of a stream; "" if nothing
// is.
func checkStream(stream []byte) string {
	whole, end := readAll(bytes.NewReader(stream))
	if wrong := checkPieces(stream, whole, end); wrong != "" {
		return wrong
	}
	return checkWritten(stream, whole, end)
}

// checkPieces reads the stream in other pieces. whole are the frames that it
// has in one piece, and end is the error after them.
func checkPieces(stream []byte, whole []string, end error) string {
	for _, cut := range []struct {
		name string
		r    io.Reader
	}{
		{"byte by byte", iotest.OneByteReader(bytes.NewReader(stream))},
		{"by halves", iotest.HalfReader(bytes.NewReader(stream))},
		{"with io.EOF", iotest.DataErrReader(bytes.NewReader(stream))},
		{"byte by byte with io.EOF",
			iotest.OneByteReader(iotest.DataErrReader(bytes.NewReader(stream)))},
	} {
		again, otherEnd := readAll(cut.r)
		if len(again) != len(whole) || end != otherEnd {
			return fmt.Sprintf("%q has %d frames, then %v. Read %s, it has %d frames, then %v.",
				stream, len(whole), end, cut.name, len(again), otherEnd)
		}
		for i := range whole {
			if again[i] != whole[i] {
				return fmt.Sprintf("Frame %d of %q is %q. Read %s, it's %q.",
					i+1, stream, whole[i], cut.name, again[i])
			}
		}
	}
	return ""
}

// checkWritten writes the frames again.
func checkWritten(stream []byte, whole []string, end error) string {
	var out bytes.Buffer
	w := frame.NewWriter(&out, fuzzLimit)
	for _, payload := range whole {
		if err := w.WriteFrame([]byte(payload)); err != nil {
			return fmt.Sprintf("%q was read but can't be written: %v", payload, err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Sprintf("Flush returned the error %q.", err)
	}
	if !bytes.HasPrefix(stream, out.Bytes()) {
		return fmt.Sprintf("%q was read. Written again, it's %q.", stream, out.Bytes())
	}
	switch rest := stream[out.Len():]; {
	case end == io.EOF && len(rest) > 0, end == io.ErrUnexpectedEOF && len(rest) == 0:
		return fmt.Sprintf("After %d frames come %d bytes more, but the end was %v.",
			len(whole), len(rest), end)
	case end != io.EOF && end != io.ErrUnexpectedEOF && end != frame.ErrTooLarge:
		return fmt.Sprintf("ReadFrame returned the error %q.", end)
	}
	return ""
}

// readAll reads to the end, and returns the payloads and the error.
func readAll(r io.Reader) (payloads []string, end error) {
	reader := frame.NewReader(r, fuzzLimit)
	for range 1 << 20 {
		payload, err := reader.ReadFrame()
		for _, end := range []error{io.ErrUnexpectedEOF, frame.ErrTooLarge, io.EOF} {
			if errors.Is(err, end) {
				return payloads, end
			}
		}
		if err != nil {
			return payloads, err
		}
		payloads = append(payloads, string(payload))
	}
	return nil, errors.New("there was no end of frames")
}
