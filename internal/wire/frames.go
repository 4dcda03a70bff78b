package wire

import "encoding/binary"

// Frames returns the payloads as frames. A frame is the payload's length in
// bytes, as a big-endian uint32, and then the payload.
func Frames(payloads ...string) string {
	var bytes []byte
	for _, payload := range payloads {
		bytes = binary.BigEndian.AppendUint32(bytes, uint32(len(payload)))
		bytes = append(bytes, payload...)
	}
	return string(bytes)
}
