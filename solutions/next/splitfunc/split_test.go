package splitfunc

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

func TestFrames(t *testing.T) {
	const limit = 5
	for _, test := range []struct {
		stream string
		want   []string
		err    error
	}{
		{"", nil, nil},
		{"\x00\x00\x00\x05hello\x00\x00\x00\x00\x00\x00\x00\x02hi", []string{"hello", "", "hi"},
			nil},
		{"\x00\x00\x00\x02hi\x00\x00", []string{"hi"}, io.ErrUnexpectedEOF},
		{"\x00\x00\x00\x02h", nil, io.ErrUnexpectedEOF},
		{"\x00\x00\x00\x06hello!", nil, frame.ErrTooLarge},
		{"\xff\xff\xff\xff", nil, frame.ErrTooLarge},
	} {
		in := bufio.NewScanner(iotest.OneByteReader(strings.NewReader(test.stream)))
		in.Buffer(nil, limit+frame.HeaderSize)
		in.Split(Frames(limit))
		var got []string
		for in.Scan() {
			got = append(got, in.Text())
		}

		if fmt.Sprint(got) != fmt.Sprint(test.want) || in.Err() != test.err {
			t.Errorf("%q: got %q and the error %v, want %q and %v",
				test.stream, got, in.Err(), test.want, test.err)
		}
	}
}
