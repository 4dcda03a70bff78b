package readbuffer

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/wire"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(lesson.Run(m)) }

func Test01_KeepsEveryByteOfALongMessage(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#1-keep-every-byte-of-a-long-message")
	wire.Test(e, func(t *wire.T) {
		client, conn := t.Client()
		t.Go(func() { process(conn) })

		long := strings.Repeat("a", 200)
		client.Send(long)
		answer := client.Receive()

		require.NotEmpty(t, answer, "200 bytes went in and nothing came back: the server waits for something that was not promised, a newline, the end of "+
			"the connection, or a pause")
		require.Equalf(t, long, answer, "200 bytes went in as one piece, and %d came back: a bufio.Reader takes up to 4096 bytes from the connection "+
			"at a time, gives out as many as it is asked for, and keeps the others. If a new one is made in every round, it begins with none; if each Read is to fill an array, the others wait until it can be filled", len(answer))
	})
}

func Test02_KeepsEveryByteHoweverItIsCut(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#2-keep-every-byte-however-it-is-cut")
	for _, size := range []int{1, 128, 129, 300, 4096, 5000, 65536, 1 << 20} {
		for _, cut := range []struct {
			how   string
			bytes int // of a piece
		}{
			{"as one piece", size},
			{"in two pieces", size/2 + 1},
			{"in pieces of 100 bytes", 100},
			{"byte by byte", 1},
		} {
			if size/cut.bytes > 5000 {
				continue // that would take long, and shows nothing new
			}
			wire.Test(e, func(t *wire.T) {
				client, conn := t.Client()
				t.Go(func() { process(conn) })

				sent := numbers(size)
				for at := 0; at < size; at += cut.bytes {
					client.Send(sent[at:min(at+cut.bytes, size)])
				}
				answer := client.Receive()

				same := 0
				for same < len(answer) && same < size && answer[same] == sent[same] {
					same++
				}
				require.NotEmptyf(t, answer, "%s went in %s and nothing came back: the server waits for something that was not promised, a newline, "+
					"the end of the connection, or a Read that does not fill its buffer", bytes(size), cut.how)
				require.Truef(t, answer == sent, "%s went in %s, %d came back, and the first %d of them are the right ones: what one Read of the connection has "+
					"brought must come back as a whole, and once; what lies in a buffer from which nobody takes it any more is lost", bytes(size), cut.how, len(answer), same)
			})
		}
	}
}

func bytes(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// numbers returns a text of the given length in which no two places look alike: "0 1 2 3 …".
func numbers(size int) string {
	var text strings.Builder
	for i := 0; text.Len() < size; i++ {
		fmt.Fprintf(&text, "%d ", i)
	}
	return text.String()[:size]
}
