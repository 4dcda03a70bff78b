// Package frame collects what comes, and cuts off frames while there are any.
package frame

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

const HeaderSize = 4

var ErrTooLarge = errors.New("too large")

type Reader struct {
	r         io.Reader
	limit     int
	piece     [2000]byte
	collected []byte   // from the beginning of a frame on
	ready     [][]byte // payloads, in bytes that stay as they are until all are taken
	at        int
	used      int // bytes of collected that are in ready
	err       error
}

func NewReader(r io.Reader, limit int) *Reader { return &Reader{r: r, limit: limit} }

func (r *Reader) ReadFrame() ([]byte, error) {
	for r.at == len(r.ready) {
		r.collected = append(r.collected[:0], r.collected[r.used:]...)
		r.used, r.at, r.ready = 0, 0, r.ready[:0]
		if r.err != nil {
			return nil, r.err
		}
		n, err := r.r.Read(r.piece[:])
		r.collected = append(r.collected, r.piece[:n]...)
		r.cut()
		if err == io.EOF && r.used < len(r.collected) {
			err = io.ErrUnexpectedEOF
		}
		if r.err == nil {
			r.err = err
		}
	}
	r.at++
	return r.ready[r.at-1], nil
}

func (r *Reader) cut() {
	for {
		rest := r.collected[r.used:]
		if len(rest) < HeaderSize {
			return
		}
		length := int64(binary.BigEndian.Uint32(rest))
		if length > int64(r.limit) {
			r.err = ErrTooLarge
			return
		}
		if int64(len(rest)) < HeaderSize+length {
			return
		}
		end := HeaderSize + int(length)
		r.ready = append(r.ready, rest[HeaderSize:end])
		r.used += end
	}
}

type Writer struct {
	mu    sync.RWMutex
	w     io.Writer
	limit int
	small []byte
	err   error
}

func NewWriter(w io.Writer, limit int) *Writer { return &Writer{w: w, limit: limit} }

// WriteFrame sends a large payload at once, without copying it.
func (w *Writer) WriteFrame(payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(payload) > w.limit {
		return ErrTooLarge
	}
	w.small = binary.BigEndian.AppendUint32(w.small, uint32(len(payload)))
	if len(payload) < 1000 {
		w.small = append(w.small, payload...)
		return w.err
	}
	w.send(payload)
	return w.err
}

func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.send(nil)
	return w.err
}

func (w *Writer) send(payload []byte) {
	for _, part := range [][]byte{w.small, payload} {
		if w.err == nil && len(part) > 0 {
			_, w.err = w.w.Write(part)
		}
	}
	w.small = w.small[:0]
}
