package frame

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"example.com/tcp-steps/internal/lesson"
)

// FuzzFrames looks for a stream of bytes that a Reader takes for other frames when it comes
// in other pieces, and for one whose frames a Writer makes other bytes of. Its
// examples run with the exercises; to look for more:
//
//	go test -fuzz FuzzFrames -fuzztime 1m ./frame
func FuzzFrames(f *testing.F) {
	lesson.SkipWhileRed(f)
	for _, stream := range []string{
		"",
		frames("hello"),
		frames("", "a", "", "世界"),
		frames("cut")[:6],
		"\x00\x00\x00\x05",
		frames("before") + "\xff\xff\xff\xff" + frames("behind"),
		"GET / HTTP/1.1\r\n\r\n",
		frames(string(make([]byte, 1000))),
	} {
		f.Add([]byte(stream))
	}
	const limit = 1 << 10
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, end := readAll(t, NewReader(bytes.NewReader(stream), limit))
		for name, r := range map[string]io.Reader{
			"byte by byte":             iotest.OneByteReader(bytes.NewReader(stream)),
			"by halves":                iotest.HalfReader(bytes.NewReader(stream)),
			"with io.EOF":              iotest.DataErrReader(bytes.NewReader(stream)),
			"byte by byte with io.EOF": iotest.OneByteReader(iotest.DataErrReader(bytes.NewReader(stream))),
		} {
			again, otherEnd := readAll(t, NewReader(r, limit))
			if len(again) != len(whole) || end != otherEnd {
				t.Fatalf("%q has %d frames, then %v; %s it has %d frames, then %v", stream, len(whole), end, name, len(again), otherEnd)
			}
			for i := range whole {
				if again[i] != whole[i] {
					t.Fatalf("frame %d of %q is %q, and %s it is %q", i+1, stream, whole[i], name, again[i])
				}
			}
		}

		var out bytes.Buffer
		w := NewWriter(&out, limit)
		for _, payload := range whole {
			if err := w.WriteFrame([]byte(payload)); err != nil {
				t.Fatalf("%q was read, and cannot be written: %v", payload, err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(stream, out.Bytes()) {
			t.Fatalf("%q was read, and written again it is %q", stream, out.Bytes())
		}
		if rest := stream[out.Len():]; end == io.EOF && len(rest) > 0 || end == io.ErrUnexpectedEOF && len(rest) == 0 {
			t.Fatalf("behind %d frames stand %d bytes more, and the end was %v", len(whole), len(rest), end)
		}
	})
}

// readAll reads to the end, and returns the payloads and the error.
func readAll(t *testing.T, r *Reader) (payloads []string, end error) {
	t.Helper()
	for range 1 << 20 {
		payload, err := r.ReadFrame()
		for _, end := range []error{io.ErrUnexpectedEOF, ErrTooLarge, io.EOF} {
			if errors.Is(err, end) {
				return payloads, end
			}
		}
		if err != nil {
			t.Fatalf("ReadFrame returned the error %v", err)
		}
		payloads = append(payloads, string(payload))
	}
	t.Fatal("there is no end of frames")
	return nil, nil
}
