package echo_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/wire"
	echo "example.com/tcp-steps/step4-framing"
	"github.com/stretchr/testify/require"
)

func Test01_KeepsEveryByteOfALongMessage(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#1-keep-every-byte-of-a-long-message", "readbuffer.go")
	wire.Test(e, "two clients, each with a message of 200 bytes", twoLongMessages)
	wire.Test(e, "two clients, and one of them reads late", oneReadsLate)
	wire.Test(e, "two clients that send at the same time", twoAtOnce)
}

func twoLongMessages(t *wire.T) {
	long := numbers(200)
	client, conn := t.Client()
	t.Go(func() { echo.Process(conn) })

	client.Send(long)
	requireEcho(t, client, long)

	second, conn2 := t.Client()
	t.Go(func() { echo.Process(conn2) })

	other := strings.Repeat("another,", 25)
	second.Send(other)
	answer := second.Receive()

	require.NotEmpty(t, answer, `
		The first client got its answer. The second one, on a connection of its own, got
		nothing.

		A bufio.Reader reads from the connection it was made for. If process keeps one for
		longer than its connection, it must Reset it to the new one.`)
	require.Equalf(t, other, answer, `
		The first client got its 200 bytes back. The second one sent %s and got %s.

		If process keeps a reader or a buffer for longer than its connection, one client's
		bytes can reach another one. Every connection needs its own.`,
		wire.Show(other), wire.Show(answer))

	again := strings.Repeat("again", 40)
	client.Send(again)
	answer = client.Receive()

	require.Equalf(t, again, answer, `
		Each of the two clients got its 200 bytes back. Then the first one sent %s and got %s.

		If the reader is in a package variable, process replaced it when the second client
		came. Every connection needs its own, in a variable inside process.`,
		wire.Show(again), wire.Show(answer))
}

func oneReadsLate(t *wire.T) {
	late, conn := t.Client()
	other, conn2 := t.Client()
	t.Go(func() { echo.Process(conn) })
	t.Go(func() { echo.Process(conn2) })
	late.Hold(0)

	late.Send(strings.Repeat("late", 25))
	t.Wait() // process waits in Write
	other.Send(strings.Repeat("other", 20))
	t.Wait()
	late.Hold(wire.NoLimit)
	answer := late.Receive()

	require.Equalf(t, strings.Repeat("late", 25), answer, `
		The late client sent %s. Before it read the answer, the other one sent %s. Then the late
		one read %s.

		If both connections share an array, Read puts one client's bytes over those that Write
		still sends to the other. Every connection needs its own, in a variable inside process.`,
		wire.Show(strings.Repeat("late", 25)), wire.Show(strings.Repeat("other", 20)),
		wire.Show(answer))
}

func twoAtOnce(t *wire.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so one process runs when the other yields
	messages := []string{strings.Repeat("c", 100), strings.Repeat("o", 100)}
	clients := make([]*wire.Peer, len(messages))
	for i := range clients {
		client, conn := t.Client()
		client.OnRead(wire.Yield)
		t.Go(func() { echo.Process(conn) })
		clients[i] = client
	}
	t.Wait() // both wait in Read
	for i, message := range messages {
		clients[i].Send(message)
	}
	for i, message := range messages {
		answer := clients[i].Receive()
		require.Equalf(t, message, answer, `
			Client %d sent %s and got %s.

			If all calls of process share a buffer, a Read for one client can overwrite what another
			Read has just put there. Every connection needs a buffer of its own.`,
			i+1, wire.Show(message), wire.Show(answer))
	}
}

func Test02_KeepsEveryByteHoweverItIsCut(t *testing.T) {
	e := lesson.Start(t, "docs/4-framing.md#2-keep-every-byte-however-it-is-cut", "readbuffer.go")
	for _, size := range []int{
		1, 127, 128, 129, 300, 512, 1024, 4095, 4096, 4097, 5000, 65536, 1 << 20,
	} {
		for _, cut := range []struct {
			how   string
			bytes int // of a piece
		}{
			{"in one piece", size},
			{"in two pieces", size/2 + 1},
			{"in pieces of 100 bytes", 100},
			{"byte by byte", 1},
		} {
			if size/cut.bytes > 600 || cut.bytes >= size && cut.how != "in one piece" {
				continue // that would take long or show nothing new
			}
			wire.Test(e, countBytes(size)+" "+cut.how,
				func(t *wire.T) { messageInPieces(t, size, cut.bytes) })
		}
	}
	special := []string{
		"  spaces  \t", "100% %d", "a\r\n", "\n", "a\x00", "\x00", "\x00\xff", "世界"[:4],
	}
	for _, text := range special {
		wire.Test(e, "a message with special bytes",
			func(t *wire.T) { specialMessage(t, text) })
	}
}

func messageInPieces(t *wire.T, size, piece int) {
	client, conn := t.Client()
	t.Go(func() { echo.Process(conn) })

	sent := numbers(size)
	var pieces []string
	for at := 0; at < size; at += piece {
		pieces = append(pieces, sent[at:min(at+piece, size)])
	}

	client.Send(pieces...)

	requireEcho(t, client, sent)
}

func specialMessage(t *wire.T, text string) {
	client, conn := t.Client()
	t.Go(func() { echo.Process(conn) })

	client.Send(text)

	requireEcho(t, client, text)
}

// requireEcho requires that the client gets back what it sent, and tells the
// ways to fail apart.
func requireEcho(t *wire.T, client *wire.Peer, sent string) {
	t.Helper()
	answer := client.Receive()
	if answer == sent {
		return
	}
	if answer == "" {
		failWithoutAnswer(t, client, sent)
	}
	require.LessOrEqualf(t, len(answer), len(sent), `
		The client sent %s and got %s: more than it had sent.

		Either Write got the whole array, though Read filled only its first n bytes, or some
		bytes were sent twice.`,
		countBytes(len(sent)), countBytes(len(answer)))
	require.Falsef(t, len(answer) == len(sent) && sorted(answer) == sorted(sent), `
		The client sent %s and got the same bytes in another order.

		Each Write must return before the next one begins. If goroutines write to the same
		connection, they overtake each other.`, countBytes(len(sent)))
	require.Truef(t, strings.HasPrefix(sent, answer), `
		The client sent %s and got %s. Byte %d is the first wrong one.

		Every byte that Read returned must come back as it is, once and in order.`,
		wire.Show(sent), wire.Show(answer), same(sent, answer)+1)

	failWithPart(t, client, sent, len(answer))
}

// failWithPart sends more, and says whether the missing bytes came then.
func failWithPart(t *wire.T, client *wire.Peer, sent string, answered int) {
	t.Helper()
	require.NotEmptyf(t, strings.TrimRight(sent[answered:], "\x00"), `
		The client sent %s and got %s, without the zeros at its end.

		A zero is a byte like any other. If process trims the zeros that Read left in its
		array, it trims these too. Only n says where the bytes of Read end.`,
		wire.Show(sent), wire.Show(sent[:answered]))
	client.Send(strings.Repeat(".", 200))
	late := client.Receive()

	require.Falsef(t, strings.HasPrefix(late, sent[answered:]), `
		The client sent %s and only %d came back. The others came when the client had sent
		200 bytes more.

		The server had them, but waited for something that wasn't promised. io.ReadFull and a
		bufio.Writer without Flush wait for a full buffer.`, countBytes(len(sent)), answered)
	t.Fatalf(`
		The client sent %s and only %d came back. The others never came.

		A bufio.Reader takes up to 4096 bytes from the connection and keeps what it isn't
		asked for. If each round makes or resets one, they're gone.`,
		countBytes(len(sent)), answered)
}

// failWithoutAnswer sends more, then ends the connection, and says when the
// answer came.
func failWithoutAnswer(t *wire.T, client *wire.Peer, sent string) {
	t.Helper()
	client.Send(strings.Repeat(".", 9000))
	if client.Receive() != "" {
		t.Fatalf(`
			The client sent %s and got nothing. An answer came when the client had sent 9,000
			bytes more.

			The server waits for something that wasn't promised. io.ReadFull and a bufio.Writer
			without Flush wait for a full buffer. A loop that ends only at a short Read waits
			for one.`, countBytes(len(sent)))
	}
	client.Send("\n")
	if client.Receive() != "" {
		t.Fatalf(`
			The client sent %s and got nothing. An answer came when the client had sent a
			newline.

			The server waits for something that wasn't promised: a message need not contain
			a newline.`, countBytes(len(sent)))
	}
	client.CloseWrite()
	if client.Receive() != "" {
		t.Fatalf(`
			The client sent %s and got nothing. An answer came when the client had ended its
			side of the connection.

			The server waits for something that wasn't promised: a client may wait for its
			answer before it goes on.`, countBytes(len(sent)))
	}
	t.Fatalf(`
		The client sent %s and got nothing, not even when it had sent more and ended its side
		of the connection.

		Either process doesn't read from this connection, or it doesn't send what it has read.
		Each Read that returns bytes needs a Write that sends them.`, countBytes(len(sent)))
}

func countBytes(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}
