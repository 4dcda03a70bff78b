// Package frame keeps messages whole on a connection. Each message travels as a
// frame: its length in four bytes, then the message, the payload:
//
//	00 00 00 05  h  e  l  l  o
//
// The chapter to read beside it is docs/4-framing.md.
package frame

import (
	"errors"
	"io"
)

// HeaderSize is the number of bytes before the payload.
const HeaderSize = 4

// ErrTooLarge says that a payload is larger than the limit.
var ErrTooLarge = errors.New("frame: payload larger than the limit")

// A Reader takes frames from a stream of bytes.
type Reader struct {
}

// NewReader returns a Reader that takes frames from r with payloads of at most
// limit bytes.
func NewReader(r io.Reader, limit int) *Reader {
	return &Reader{}
}

// ReadFrame returns the payload of the next frame. It is valid until the next
// call.
//
// TODO exercise 6: Read a frame however it is cut
// TODO exercise 7: Separate frames that arrive together
// TODO exercise 8: Accept empty frames
// TODO exercise 9: Tell a clean end from a truncated frame
// TODO exercise 10: Refuse hostile lengths
// TODO exercise 12: Allocate nothing after the first frames
func (r *Reader) ReadFrame() ([]byte, error) {
	return nil, nil
}

// A Writer puts payloads into frames. Several goroutines may use it.
type Writer struct {
}

// NewWriter returns a Writer that sends frames to w with payloads of at most
// limit bytes.
func NewWriter(w io.Writer, limit int) *Writer {
	return &Writer{}
}

// WriteFrame puts payload into the buffer, as a frame. Flush sends it, if
// WriteFrame hasn't done so before.
//
// TODO exercise 3: Write the header
// TODO exercise 5: Refuse to write oversized frames
// TODO exercise 8: Accept empty frames
// TODO exercise 11: Keep frames whole under concurrent writes
// TODO exercise 12: Allocate nothing after the first frames
func (w *Writer) WriteFrame(payload []byte) error {
	return nil
}

// Flush sends what is in the buffer.
//
// TODO exercise 3: Write the header
// TODO exercise 4: Send a small frame in one piece
// TODO exercise 11: Keep frames whole under concurrent writes
func (w *Writer) Flush() error {
	return nil
}
