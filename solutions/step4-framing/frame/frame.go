// Package frame keeps messages whole on a connection. TCP carries bytes and knows
// nothing of messages. So each message goes as a frame: the number of its bytes, in
// four bytes, the most significant first, and then these bytes, the payload:
//
//	00 00 00 05  h  e  l  l  o
//
// Erlang's {packet, 4}, Twisted's Int32StringReceiver and Netty's
// LengthFieldBasedFrameDecoder(max, 0, 4, 0, 4) speak the same format.
package frame

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"sync"
)

// HeaderSize is the number of bytes before the payload.
const HeaderSize = 4

// ErrTooLarge says that a payload is larger than the limit.
var ErrTooLarge = errors.New("frame: payload larger than the limit")

const (
	// minBuf is the first size of a Reader's buffer. A client that says little
	// costs little: there may be ten thousand of them.
	minBuf = 512

	// window is how many bytes are sent or read at a time, where there are so many.
	// Under load a system call is most of what a frame costs, and the more frames
	// share one, the better: so there is room for 16 frames of 4 KiB and more.
	window = 128 << 10

	// maxLimit is the largest limit: a frame's size must be an int on every machine.
	maxLimit = math.MaxInt32 - HeaderSize
)

// A Reader takes frames from a stream of bytes. It is for one goroutine at a time.
//
// It has one buffer, into which it reads whatever comes, and in which it finds the
// frames and returns them, without copying them. The buffer grows when bytes have
// filled it, never because a header announces many: a header is easily sent.
type Reader struct {
	r          io.Reader
	limit      int
	buf        []byte
	start, end int   // buf[start:end] has arrived, and was not returned yet
	err        error // of the last Read, told when the bytes before it are used up
}

// NewReader returns a Reader that takes frames from r whose payload has at most
// limit bytes.
//
// The Reader calls r.Read only while the bytes that it holds contain no whole frame, that is,
// when ReadFrame may have to wait. A server that must do something before it
// waits, such as to send its answers, can do it in r.
func NewReader(r io.Reader, limit int) *Reader {
	return &Reader{r: r, limit: min(max(limit, 0), maxLimit)}
}

// ReadFrame returns the payload of the next frame. It is valid until the next call.
//
// The error is io.EOF if the stream ends between two frames, io.ErrUnexpectedEOF if it
// ends within one, and [ErrTooLarge] from the first header on that announces more than
// the limit: nobody knows where the next frame begins. Other errors are those of r.
// After a timeout ReadFrame may be called again, for no byte is lost.
func (r *Reader) ReadFrame() ([]byte, error) {
	for {
		arrived := r.buf[r.start:r.end]
		size := HeaderSize // of the frame, as far as it is known
		if len(arrived) >= HeaderSize {
			length := binary.BigEndian.Uint32(arrived)
			// Not int(length): that can be negative where an int has 32 bits.
			if length > uint32(r.limit) {
				return nil, ErrTooLarge // for ever, because start stays where it is
			}
			size += int(length)
			if len(arrived) >= size {
				r.start += size
				// The capacity ends with the frame: whoever appends to it does not
				// write into the next one.
				return arrived[HeaderSize:size:size], nil
			}
		}
		if err := r.err; err != nil {
			r.err = nil
			if err == io.EOF && len(arrived) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		r.fill(size)
	}
}

// fill reads once, for a frame of the given size, of which a part is still to come.
func (r *Reader) fill(size int) {
	// For a small frame, read as much as there is: other frames may stand behind it. For a
	// frame that is larger than the window, read no further than its end: the
	// beginning of the next one would only have to be moved.
	most := max(size, window)
	to := r.buf
	if r.end == len(r.buf) && len(r.buf) < most {
		to = make([]byte, min(max(minBuf, 2*len(r.buf)), max(window, HeaderSize+r.limit)))
	}
	r.start, r.end = 0, copy(to, r.buf[r.start:r.end])
	r.buf = to

	n, err := r.r.Read(r.buf[r.end:min(most, len(r.buf))])
	r.end += n
	r.err = err // it may have come together with bytes, which come first
}

// A Writer puts payloads into frames and sends them. Several goroutines may use it:
// each frame stays whole, and those of one goroutine stay in their order.
type Writer struct {
	w     io.Writer
	limit int

	mu  sync.Mutex // over a whole frame: no other may begin inside of it
	buf []byte     // frames that were not sent yet
	err error      // the first of w
}

// NewWriter returns a Writer that sends frames to w whose payload has at most
// limit bytes.
func NewWriter(w io.Writer, limit int) *Writer {
	return &Writer{w: w, limit: min(max(limit, 0), maxLimit)}
}

// WriteFrame puts payload, as a frame, into the buffer, and sends the buffer when it
// is large. Flush sends the rest. The payload belongs to the caller again when WriteFrame returns.
//
// A payload larger than the limit is refused with [ErrTooLarge], and nothing else
// happens. After any other error, a frame may have been sent in part, so that
// nothing can follow it: WriteFrame and Flush return the same error from then on.
func (w *Writer) WriteFrame(payload []byte) error {
	if len(payload) > w.limit {
		return ErrTooLarge
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(len(payload)))
	if len(payload) >= window {
		// To copy so much costs more than one Write more, and the buffer stays small.
		w.send()
		if w.err == nil {
			_, w.err = w.w.Write(payload)
		}
		return w.err
	}
	w.buf = append(w.buf, payload...)
	if len(w.buf) >= window {
		w.send()
	}
	return w.err
}

// Flush sends what is in the buffer, in one Write.
//
// There is no defer, and send is small enough to become a part of its callers, for the sake of the
// stack: a server that flushes before it waits is nowhere deeper than here, and its goroutine must just do
// with the 2 KiB that each begins with. The next size is 4 KiB, for each client.
func (w *Writer) Flush() error {
	w.mu.Lock()
	if len(w.buf) > 0 {
		w.send()
	}
	err := w.err
	w.mu.Unlock()
	return err
}

// send empties the buffer.
func (w *Writer) send() {
	if w.err == nil {
		_, w.err = w.w.Write(w.buf)
		w.buf = w.buf[:0]
	}
}
