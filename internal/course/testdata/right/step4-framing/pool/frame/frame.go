// Package frame takes its buffers from pools: a Reader or Writer that waits has
// none.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

const HeaderSize = 4

var ErrTooLarge = errors.New("too large")

var pool = sync.Pool{New: func() any {
	buf := make([]byte, 0, 4096)
	return &buf
}}

type Reader struct {
	r       io.Reader
	limit   int
	held    *[]byte // from the pool; it begins with the next frame
	used    int     // bytes of held that belong to the payload returned last
	readErr error
	tooLong error
}

func NewReader(r io.Reader, limit int) *Reader { return &Reader{r: r, limit: limit} }

func (r *Reader) ReadFrame() ([]byte, error) {
	if r.tooLong != nil {
		return nil, r.tooLong
	}
	r.drop()
	for {
		size := HeaderSize
		if held := r.bytes(); len(held) >= HeaderSize {
			length := uint64(binary.BigEndian.Uint32(held))
			if length > uint64(r.limit) {
				r.tooLong = fmt.Errorf("%w: %d bytes", ErrTooLarge, length)
				return nil, r.tooLong
			}
			if size += int(length); len(held) >= size {
				r.used = size
				return held[HeaderSize:size], nil
			}
		}
		if err := r.readErr; err != nil {
			r.readErr = nil
			if err == io.EOF && len(r.bytes()) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		r.read()
	}
}

func (r *Reader) bytes() []byte {
	if r.held == nil {
		return nil
	}
	return *r.held
}

// drop removes the payload that ReadFrame returned, and gives an empty buffer
// back.
func (r *Reader) drop() {
	if r.held == nil {
		return
	}
	*r.held = append((*r.held)[:0], (*r.held)[r.used:]...)
	r.used = 0
	if len(*r.held) == 0 {
		pool.Put(r.held)
		r.held = nil
	}
}

func (r *Reader) read() {
	if r.held == nil {
		r.held = pool.Get().(*[]byte)
		*r.held = (*r.held)[:0]
	}
	buf := *r.held
	if cap(buf)-len(buf) < 512 {
		buf = append(make([]byte, 0, 2*cap(buf)), buf...)
	}
	n, err := r.r.Read(buf[len(buf):cap(buf)])
	*r.held = buf[:len(buf)+n]
	r.readErr = err
}

type Writer struct {
	mu    sync.Mutex
	w     io.Writer
	limit int
	held  *[]byte
	err   error
}

func NewWriter(w io.Writer, limit int) *Writer { return &Writer{w: w, limit: limit} }

func (w *Writer) WriteFrame(payload []byte) error {
	if len(payload) > w.limit {
		return ErrTooLarge
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		w.held = pool.Get().(*[]byte)
		*w.held = (*w.held)[:0]
	}
	*w.held = binary.BigEndian.AppendUint32(*w.held, uint32(len(payload)))
	*w.held = append(*w.held, payload...)
	return w.err
}

func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		return w.err
	}
	if w.err == nil {
		_, w.err = w.w.Write(*w.held)
	}
	pool.Put(w.held)
	w.held = nil
	return w.err
}
