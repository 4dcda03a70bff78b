package wire

import "encoding/binary"

// Frames returns what goes over the wire for the given payloads: in front of
// each its number of bytes, in four bytes, the most significant one first.
func Frames(payloads ...string) string {
	var bytes []byte
	for _, payload := range payloads {
		bytes = binary.BigEndian.AppendUint32(bytes, uint32(len(payload)))
		bytes = append(bytes, payload...)
	}
	return string(bytes)
}
