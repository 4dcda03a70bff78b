package load

import (
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/tcp-steps/internal/wire"
	echo "example.com/tcp-steps/step4-framing"
)

// requireServed requires that a frame with a payload of size bytes comes back
// within five seconds.
func requireServed(t *testing.T, conn net.Conn, size int) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	frame := wire.Frames(strings.Repeat("m", size))
	go io.WriteString(conn, frame)
	answer := make([]byte, len(frame))
	_, err := io.ReadFull(conn, answer)
	require.NoError(t, err)
	require.True(t, frame == string(answer))
}

func TestLoad_HoldsTenThousandIdleClients(t *testing.T) {
	const many = 10_000
	for _, size := range []int{128, 60_000, 1 << 20} {
		pid, addr := startServer(t, 20_000)
		before := resident(t, pid)
		var clients []net.Conn
		for range many {
			conn := dial(t, addr)
			requireServed(t, conn, size)
			clients = append(clients, conn)
		}
		perClient := func() float64 { return float64(resident(t, pid)-before) / many }
		begin := time.Now()
		for perClient() > 8 && time.Since(begin) < 10*time.Second {
			time.Sleep(100 * time.Millisecond)
		}
		took := time.Since(begin).Round(100 * time.Millisecond)
		require.LessOrEqual(t, perClient(), 8.0, "the server keeps the buffers of idle clients")
		t.Logf("%d idle clients, each after one answer of %d bytes: %.1f KiB each %v after the "+
			"last answer", many, size, perClient(), took)
		for _, conn := range clients {
			conn.Close()
		}
	}
}

func TestLoad_DisconnectsHalfHeaders(t *testing.T) {
	const many = 9_000 // both ends are in this process
	s := &echo.Server{IdleTimeout: 5 * time.Second, Log: slog.New(slog.DiscardHandler)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go s.Serve(ln)
	var clients []net.Conn
	for range many {
		conn := dial(t, ln.Addr().String())
		io.WriteString(conn, "\x00\x00")
		clients = append(clients, conn)
	}
	begin := time.Now()
	for _, conn := range clients {
		conn.SetDeadline(begin.Add(20 * time.Second))
		_, err := conn.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		conn.Close()
	}
	require.Eventually(t, func() bool { return s.Clients() == 0 }, 5*time.Second, time.Millisecond)
	t.Logf("%d clients sent half a header and waited, with an IdleTimeout of 5 s. All were "+
		"disconnected %v after the last one came", many,
		time.Since(begin).Round(100*time.Millisecond))
}

func TestLoad_SurvivesRandomBytes(t *testing.T) {
	pid, addr := startServer(t, 20_000)
	before := resident(t, pid)
	const many = 1000
	var group sync.WaitGroup
	for i := range many {
		conn := dial(t, addr)
		group.Go(func() {
			random := rand.New(rand.NewPCG(4, uint64(i)))
			bytes := make([]byte, 1_000_000)
			for i := range bytes {
				bytes[i] = byte(random.Uint32())
			}
			// a length below the limit, so that the server reads on
			bytes[0], bytes[1] = 0, byte(random.Uint32()%16)
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			go io.Copy(io.Discard, conn)
			conn.Write(bytes)
		})
	}
	group.Wait()
	t.Logf("%d clients sent a million random bytes each: the server grew from %d to %d MiB", many,
		before>>10, resident(t, pid)>>10)
	requireServed(t, dial(t, addr), 128)
}

func TestLoad_AllocatesNothingForHeaders(t *testing.T) {
	pid, addr := startServer(t, 20_000)
	before := resident(t, pid)
	const many = 1000
	for range many {
		conn := dial(t, addr)
		conn.Write(append(binary.BigEndian.AppendUint32(nil, 1<<20), 'x'))
	}
	time.Sleep(time.Second)
	t.Logf("%d headers announced 1 MiB each, and one byte came: the server grew from %d to %d MiB",
		many, before>>10, resident(t, pid)>>10)
	require.Less(t, resident(t, pid)-before, 16<<10)
	requireServed(t, dial(t, addr), 128)
}
