package echo_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	echo "example.com/tcp-steps/step3-concurrency"
)

// serverFile builds the server and returns its file.
func serverFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server")
	out, err := exec.Command("go", "build", "-o", file, "./cmd/server").CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
	return file
}

// startProcess runs the server with so many descriptors and returns its process
// number and address.
func startProcess(t *testing.T, descriptors int) (pid int, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr = ln.Addr().String()
	ln.Close()
	cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" -quiet -addr %s`,
		descriptors, addr), serverFile(t))
	cmd.Env = append(os.Environ(), "TCP_STEPS_PROGRAM=1")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 500 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return cmd.Process.Pid, addr
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the server does not listen")
	return 0, ""
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

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

// resident returns what the process has in memory, in KiB.
func resident(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	return kib
}

// cpu returns the processor time that the process has used.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / 100
}

func TestLoad_HoldsTenThousandIdleClients(t *testing.T) {
	const many = 10_000
	pid, addr := startProcess(t, 20_000)
	before := resident(t, pid)
	for range many {
		requireServed(t, dial(t, addr))
	}
	t.Logf("%d idle clients held, each had one answer: %.1f KiB each", many, float64(resident(t,
		pid)-before)/many)
	used := cpu(t, pid)
	time.Sleep(2 * time.Second)
	t.Logf("in two seconds of silence the server used %v of processor time", cpu(t, pid)-used)
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
	pid, addr := startProcess(t, 64)
	var clients []net.Conn
	for range 100 {
		clients = append(clients, dial(t, addr)) // the kernel takes them, and the server cannot
	}
	requireServed(t, clients[0])
	used := cpu(t, pid)
	time.Sleep(3 * time.Second)
	used = cpu(t, pid) - used
	require.Less(t, used, 300*time.Millisecond, "the server spins")
	for _, client := range clients {
		client.Close()
	}
	requireServed(t, dial(t, addr))
	t.Logf("64 descriptors, 100 clients: in three seconds the server used %v of processor "+
		"time, and served again when they had left", used)
}

func TestLoad_StopsInTheMidstOfIt(t *testing.T) {
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
			message := fmt.Sprintf("a message of client %04d, and it is to come back whole", i)
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
	require.Zero(t, cut.Load(), "an answer was begun, and cut")
	t.Logf("%d busy clients, %d answers in a second, then Shutdown, which took %v: "+
		"no answer was cut; %d messages in flight got none",
		many, answered.Load(), took.Round(time.Millisecond), unanswered.Load())
}
