// Package frame is built on bufio and io.ReadFull.
package frame

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

const HeaderSize = 4

var ErrTooLarge = errors.New("too large")

type Reader struct {
	in      *bufio.Reader
	header  [HeaderSize]byte
	payload []byte
	limit   int
	broken  error
}

func NewReader(r io.Reader, limit int) *Reader {
	return &Reader{in: bufio.NewReader(r), limit: limit}
}

func (r *Reader) ReadFrame() ([]byte, error) {
	if r.broken != nil {
		return nil, r.broken
	}
	if _, err := io.ReadFull(r.in, r.header[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(r.header[:])
	if uint64(length) > uint64(r.limit) {
		r.broken = fmt.Errorf("%w: %d bytes announced, %d allowed", ErrTooLarge, length, r.limit)
		return nil, r.broken
	}
	if cap(r.payload) < int(length) {
		r.payload = make([]byte, length)
	}
	r.payload = r.payload[:length]
	_, err := io.ReadFull(r.in, r.payload)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	return r.payload, nil
}

type Writer struct {
	mu     sync.Mutex
	out    *bufio.Writer
	header [HeaderSize]byte
	limit  int
}

func NewWriter(w io.Writer, limit int) *Writer {
	return &Writer{out: bufio.NewWriter(w), limit: limit}
}

func (w *Writer) WriteFrame(payload []byte) error {
	if len(payload) > w.limit {
		return fmt.Errorf("%w: %d bytes, %d allowed", ErrTooLarge, len(payload), w.limit)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	binary.BigEndian.PutUint32(w.header[:], uint32(len(payload)))
	if _, err := w.out.Write(w.header[:]); err != nil {
		return err
	}
	_, err := w.out.Write(payload)
	return err
}

func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Flush()
}
