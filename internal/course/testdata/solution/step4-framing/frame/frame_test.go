package frame

import (
	"cmp"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A source returns its bytes, then neither a byte nor an error.
type source string

func (s *source) Read(p []byte) (int, error) {
	n := copy(p, *s)
	*s = (*s)[n:]
	return n, nil
}

// A Reader whose Read keeps returning nothing gives up, as package bufio does,
// instead of burning a whole CPU.
func TestReader_GivesUpWithoutProgress(t *testing.T) {
	stream := source("\x00\x01\x86\xa0" + strings.Repeat("a", 100_000))
	for _, arrived := range []int{0, 2, HeaderSize, 50_000} {
		r := stream[:arrived]

		_, err := NewReader(&r, 1<<20).ReadFrame()

		require.ErrorIs(t, err, io.ErrNoProgress)
	}
}

// A sink takes at most six bytes of each Write, and returns no error.
type sink struct{ strings.Builder }

func (s *sink) Write(p []byte) (int, error) { return s.Builder.Write(p[:min(len(p), 6)]) }

// After a short Write a frame isn't whole, so nothing may follow it.
func TestWriter_NoticesAShortWrite(t *testing.T) {
	for _, size := range []int{10, 200_000} {
		var short sink
		w := NewWriter(&short, 1<<20)

		err := cmp.Or(w.WriteFrame(make([]byte, size)), w.Flush())
		sent := short.Len()
		again := w.WriteFrame(nil)

		require.ErrorIs(t, err, io.ErrShortWrite)
		require.ErrorIs(t, again, io.ErrShortWrite)
		require.Equal(t, sent, short.Len())
	}
}
