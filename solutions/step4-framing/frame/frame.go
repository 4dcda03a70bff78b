// Package frame keeps messages whole on a connection. TCP carries bytes and
// knows nothing about messages, so each message travels as a frame: its length
// in four bytes, the most significant first, then the message, the payload:
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

	// window is how many bytes go into one Read or Write, if there are so many.
	// Under load, system calls are most of what a frame costs. The more frames
	// share one, the better: the window holds 16 frames of 4 KiB and more.
	window = 128 << 10

	// maxLimit is the largest limit: a frame's size must fit into an int, even
	// where an int has 32 bits.
	maxLimit = math.MaxInt32 - HeaderSize

	// maxEmptyReads is how often in a row r.Read may return neither a byte nor
	// an error. Package bufio allows as many.
	maxEmptyReads = 100
)

// A Reader takes frames from a stream of bytes. Only one goroutine may use it
// at a time.
//
// It reads into one buffer, finds the frames there, and returns their payloads
// without copying them. The buffer grows when received bytes have filled it,
// never because a header announces many: sending a header costs nothing.
type Reader struct {
	r          io.Reader
	limit      int
	buf        []byte
	start, end int   // buf[start:end] was received, but not yet returned
	err        error // of the last Read; the bytes before it come first
}

// NewReader returns a Reader that takes frames from r with payloads of at most
// limit bytes. A limit below 0 counts as 0, one above 2³¹-5 as 2³¹-5.
//
// The Reader calls r.Read only while it holds no whole frame, so only when
// ReadFrame may have to wait. A server that must do something before it waits,
// such as sending its answers, can do it in r.
func NewReader(r io.Reader, limit int) *Reader {
	return &Reader{r: r, limit: min(max(limit, 0), maxLimit)}
}

// ReadFrame returns the payload of the next frame. It is valid until the next
// call.
//
// ReadFrame returns io.EOF if the stream ends between two frames, and
// io.ErrUnexpectedEOF if it ends within one. If a header announces more than
// the limit, ReadFrame returns [ErrTooLarge], now and in every later call:
// where the next frame begins is unknown. If r returns neither a byte nor an
// error a hundred times in a row, ReadFrame returns io.ErrNoProgress. All other
// errors are those of r. After a timeout the caller may call ReadFrame again;
// no byte is lost.
func (r *Reader) ReadFrame() ([]byte, error) {
	for {
		arrived := r.buf[r.start:r.end]
		size := HeaderSize // of the frame, as far as it is known
		if len(arrived) >= HeaderSize {
			length := binary.BigEndian.Uint32(arrived)
			// Compare before converting: int(length) can be negative where an
			// int has 32 bits.
			if length > uint32(r.limit) {
				return nil, ErrTooLarge // forever, because start stays where it is
			}
			size += int(length)
			if len(arrived) >= size {
				r.start += size
				// The capacity ends with the frame, so that a caller who
				// appends to the payload doesn't write into the next frame.
				return arrived[HeaderSize:size:size], nil
			}
		}
		if r.err != nil {
			return nil, r.fail()
		}
		r.fill(size)
	}
}

// fill calls Read for a frame of the given size whose last bytes are missing.
func (r *Reader) fill(size int) {
	// For a small frame, read all there is: more frames may follow. For a frame
	// larger than the window, stop at its end: the beginning of the next one
	// would only have to be moved.
	most := max(size, window)
	to := r.buf
	if r.end == len(r.buf) && len(r.buf) < most {
		largest := max(window, HeaderSize+r.limit)
		more := min(len(r.buf), largest-len(r.buf)) // twice as many may not fit into 32 bits
		to = make([]byte, max(minBuf, len(r.buf)+more))
	}
	r.start, r.end = 0, copy(to, r.buf[r.start:r.end])
	r.buf = to

	for range maxEmptyReads {
		n, err := r.r.Read(r.buf[r.end:min(most, len(r.buf))])
		r.end += n
		r.err = err
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}

// fail returns the error of the last Read, once. It also gives back the memory
// that holds no received bytes: a server that sets a deadline, and calls
// ReadFrame again after the timeout, keeps no large buffer for a silent client.
//
// The compiler must not inline it, to save stack in ReadFrame (see Flush).
//
//go:noinline
func (r *Reader) fail() error {
	arrived, err := r.buf[r.start:r.end], r.err
	if err == io.EOF && len(arrived) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if len(r.buf) > minBuf {
		r.buf = make([]byte, len(arrived))
		r.start, r.end = 0, copy(r.buf, arrived)
	}
	r.err = nil
	return err
}

// A Writer puts payloads into frames and sends them. Several goroutines may use
// it: each frame stays whole, and the frames of one goroutine stay in order.
type Writer struct {
	w     io.Writer
	limit int

	mu  sync.Mutex // held for a whole frame: no other may begin inside it
	buf []byte     // frames that were not sent yet
	err error      // the first error of w
}

// NewWriter returns a Writer that sends frames to w with payloads of at most
// limit bytes. A limit below 0 counts as 0, one above 2³¹-5 as 2³¹-5.
func NewWriter(w io.Writer, limit int) *Writer {
	return &Writer{w: w, limit: min(max(limit, 0), maxLimit)}
}

// WriteFrame puts payload into the buffer, as a frame. If the buffer has become
// large, WriteFrame sends it; Flush sends the rest. The payload belongs to the
// caller again when WriteFrame returns.
//
// WriteFrame refuses a payload above the limit with [ErrTooLarge]; that has no
// effect on other frames. After any other error, part of a frame may have been
// sent, so that nothing can follow it: from then on, WriteFrame and Flush
// return that error.
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
		// Copying so much costs more than a second Write, and without it the
		// buffer stays small.
		w.send()
		if w.err == nil {
			w.err = write(w.w, payload)
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
// Flush has no defer and doesn't call send, to save stack: a server that
// flushes before it waits is nowhere deeper than here, and each goroutine
// begins with 2 KiB of stack. The next size is 4 KiB, per client.
func (w *Writer) Flush() error {
	w.mu.Lock()
	if len(w.buf) > 0 {
		w.err = write(w.w, w.buf)
		w.buf = w.buf[:0]
	}
	err := w.err
	w.mu.Unlock()
	return err
}

// send empties the buffer.
func (w *Writer) send() {
	w.err = write(w.w, w.buf)
	w.buf = w.buf[:0]
}

// write writes all of p to w, or returns an error. That's io.ErrShortWrite if w
// takes less and returns none.
func write(w io.Writer, p []byte) (err error) {
	n, err := w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return
}
