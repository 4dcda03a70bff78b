// Package splitfunc reads the frames of step 4 with a bufio.Scanner.
package splitfunc

import (
	"bufio"
	"encoding/binary"
	"io"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

// Frames returns a function for [bufio.Scanner.Split]: each token is the
// payload of a frame, of at most limit bytes. The Scanner needs a buffer for
// the largest frame, which is limit+[frame.HeaderSize] bytes:
//
//	in := bufio.NewScanner(conn)
//	in.Buffer(nil, limit+frame.HeaderSize)
//	in.Split(splitfunc.Frames(limit))
func Frames(limit int) bufio.SplitFunc {
	return func(data []byte, atEOF bool) (advance int, token []byte, err error) {
		if len(data) >= frame.HeaderSize {
			length := binary.BigEndian.Uint32(data)
			if uint64(length) > uint64(limit) {
				return 0, nil, frame.ErrTooLarge
			}
			if size := frame.HeaderSize + int(length); len(data) >= size {
				return size, data[frame.HeaderSize:size], nil
			}
		}
		if atEOF && len(data) > 0 {
			// Without this, a truncated frame would look like a clean end.
			return 0, nil, io.ErrUnexpectedEOF
		}
		return 0, nil, nil // it takes more bytes
	}
}
