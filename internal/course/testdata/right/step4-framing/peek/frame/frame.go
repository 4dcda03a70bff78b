// Package frame looks at what a bufio.Reader holds, and takes it out at the
// next call. What doesn't fit there, it reads into memory of its own. Its
// Writer has a channel for a lock.
package frame

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

const HeaderSize = 4

var ErrTooLarge = errors.New("too large")

type Reader struct {
	in    *bufio.Reader
	done  int // bytes of the frame before
	large []byte
	limit int
}

func NewReader(r io.Reader, limit int) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 64<<10), limit: limit}
}

func (r *Reader) ReadFrame() ([]byte, error) {
	r.in.Discard(r.done)
	r.done = 0
	header, err := r.in.Peek(HeaderSize)
	if err == io.EOF && len(header) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(header)
	if uint64(length) > uint64(r.limit) {
		return nil, ErrTooLarge
	}
	if size := HeaderSize + int(length); size > r.in.Size() {
		if cap(r.large) < size {
			r.large = make([]byte, size)
		}
		if _, err := io.ReadFull(r.in, r.large[:size]); err == io.EOF {
			return nil, io.ErrUnexpectedEOF
		} else if err != nil {
			return nil, err
		}
		return r.large[HeaderSize:size], nil
	}
	frame, err := r.in.Peek(HeaderSize + int(length))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	r.done = len(frame)
	return frame[HeaderSize:], nil
}

type Writer struct {
	turn  chan struct{} // holds a token while no goroutine writes
	w     io.Writer
	limit int
	held  []byte
	err   error
}

func NewWriter(w io.Writer, limit int) *Writer {
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	return &Writer{turn: turn, w: w, limit: limit}
}

func (w *Writer) WriteFrame(payload []byte) error {
	if len(payload) > w.limit {
		return ErrTooLarge
	}
	<-w.turn
	defer func() { w.turn <- struct{}{} }()
	w.held = append(w.held, byte(len(payload)>>24), byte(len(payload)>>16), byte(len(payload)>>8),
		byte(len(payload)))
	w.held = append(w.held, payload...)
	return w.err
}

func (w *Writer) Flush() error {
	<-w.turn
	defer func() { w.turn <- struct{}{} }()
	if w.err == nil && len(w.held) > 0 {
		_, w.err = w.w.Write(w.held)
	}
	w.held = w.held[:0]
	return w.err
}
