package load

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	echo "example.com/tcp-steps/step3-concurrency"
)

// requireServed requires that "hello" comes back within five seconds.
func requireServed(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, err := io.WriteString(conn, "hello")
	require.NoError(t, err)
	answer := make([]byte, 5)
	_, err = io.ReadFull(conn, answer)
	require.NoError(t, err)
	require.Equal(t, "hello", string(answer))
}

func TestLoad_HoldsTenThousandIdleClients(t *testing.T) {
	const many = 10_000
	pid, addr := startServer(t, 20_000)
	before := resident(t, pid)
	for range many {
		requireServed(t, dial(t, addr))
	}
	t.Logf("%d idle clients, each after one answer: %.1f KiB each", many,
		float64(resident(t, pid)-before)/many)
	used := cpu(t, pid)
	time.Sleep(2 * time.Second)
	t.Logf("in two seconds of silence the server used %v of CPU time", cpu(t, pid)-used)
}

func TestLoad_OutlivesClientsThatComeAndGo(t *testing.T) {
	s := &echo.Server{MaxClients: 100, Log: slog.New(slog.DiscardHandler)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go s.Serve(ln)
	for i := range 3000 {
		conn := dial(t, ln.Addr().String())
		if i%3 == 0 {
			io.WriteString(conn, "hello")
		}
		if i%2 == 0 {
			conn.(*net.TCPConn).SetLinger(0) // a reset
		}
		conn.Close()
	}
	requireServed(t, dial(t, ln.Addr().String()))
	require.Eventually(t, func() bool { return s.Clients() == 1 }, 5*time.Second, time.Millisecond)
	t.Log("3,000 clients came and left, with MaxClients 100, and the next one was served")
	require.NoError(t, s.Shutdown(context.Background()))
}

func TestLoad_RunsOutOfDescriptors(t *testing.T) {
	pid, addr := startServer(t, 64)
	var clients []net.Conn
	for range 100 {
		clients = append(clients, dial(t, addr)) // the kernel connects them, but Accept fails
	}
	requireServed(t, clients[0])
	used := cpu(t, pid)
	time.Sleep(3 * time.Second)
	used = cpu(t, pid) - used
	require.Less(t, used, 300*time.Millisecond, "the server is in a busy loop")
	for _, client := range clients {
		client.Close()
	}
	requireServed(t, dial(t, addr))
	t.Logf("64 descriptors, 100 clients: in three seconds the server used %v of CPU time. "+
		"It served again when they had left", used)
}

func TestLoad_ShutsDownAmongBusyClients(t *testing.T) {
	s := &echo.Server{Log: slog.New(slog.DiscardHandler)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go s.Serve(ln)
	const many = 1000
	var answered, unanswered, cut atomic.Int64
	var group sync.WaitGroup
	for i := range many {
		conn := dial(t, ln.Addr().String())
		requireServed(t, conn)
		conn.SetDeadline(time.Now().Add(time.Minute))
		group.Go(func() {
			message := fmt.Sprintf("a message of client %04d that must come back whole", i)
			answer := make([]byte, len(message))
			for {
				if _, err := io.WriteString(conn, message); err != nil {
					return
				}
				switch n, err := io.ReadFull(conn, answer); {
				case err == nil:
					answered.Add(1)
				case n > 0:
					cut.Add(1)
					return
				default:
					unanswered.Add(1)
					return
				}
			}
		})
	}
	time.Sleep(time.Second)
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, s.Shutdown(ctx))
	took := time.Since(begin)
	group.Wait()
	require.Zero(t, cut.Load(), "an answer was cut")
	t.Logf("%d busy clients, %d answers in a second, then Shutdown, which took %v: "+
		"no answer was cut; %d messages in flight got none",
		many, answered.Load(), took.Round(time.Millisecond), unanswered.Load())
}
