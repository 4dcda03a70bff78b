package echo_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	echo "example.com/tcp-steps/step4-framing"
)

// serverFile builds the server and returns its file.
func serverFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server")
	out, err := exec.Command("go", "build", "-o", file, "./cmd/server").CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
	return file
}

// startProcess runs the server and returns its process number and address.
func startProcess(t *testing.T) (pid int, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr = ln.Addr().String()
	ln.Close()
	cmd := exec.Command(serverFile(t), "-quiet", "-addr", addr)
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

func requireServed(t *testing.T, conn net.Conn, size int) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	frame := frames(strings.Repeat("m", size))
	go io.WriteString(conn, frame)
	answer := make([]byte, len(frame))
	_, err := io.ReadFull(conn, answer)
	require.NoError(t, err)
	require.True(t, frame == string(answer))
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

func TestLoad_HoldsTenThousandIdleClients(t *testing.T) {
	const many = 10_000
	for _, size := range []int{128, 60_000} {
		pid, addr := startProcess(t)
		before := resident(t, pid)
		var clients []net.Conn
		for range many {
			conn := dial(t, addr)
			requireServed(t, conn, size)
			clients = append(clients, conn)
		}
		t.Logf("%d idle clients held, each had one answer of %d bytes: %.1f KiB each", many, size,
			float64(resident(t, pid)-before)/many)
		for _, conn := range clients {
			conn.Close()
		}
	}
}

func TestLoad_LetsGoOfHalfHeaders(t *testing.T) {
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
	t.Logf("%d clients sent half a header and waited; IdleTimeout is 5 s, and all were "+
		"disconnected %v after the last one came", many,
		time.Since(begin).Round(100*time.Millisecond))
}

func TestLoad_SurvivesRandomBytes(t *testing.T) {
	pid, addr := startProcess(t)
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

func TestLoad_TakesNoMemoryForAnnouncements(t *testing.T) {
	pid, addr := startProcess(t)
	before := resident(t, pid)
	const many = 1000
	for range many {
		conn := dial(t, addr)
		conn.Write(append(binary.BigEndian.AppendUint32(nil, 1<<20), 'x'))
	}
	time.Sleep(time.Second)
	t.Logf("%d headers announced 1 MiB each, and a byte came: the server grew from %d to %d MiB",
		many, before>>10, resident(t, pid)>>10)
	require.Less(t, resident(t, pid)-before, 16<<10)
	requireServed(t, dial(t, addr), 128)
}
