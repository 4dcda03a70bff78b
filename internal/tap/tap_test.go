package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A world is a tap between a client and a server, which the test plays.
type world struct {
	t      *testing.T
	addr   string // the tap's
	server net.Listener
	out    lines
	writes lines // a line for each Write to the server
	stop   context.CancelFunc
	served chan error
}

func start(t *testing.T, tap *Tap) *world {
	t.Helper()
	w := &world{t: t, served: make(chan error, 1)}
	w.out.changed.L, w.writes.changed.L = &w.out.mu, &w.writes.mu
	var err error
	w.server, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.addr = ln.Addr().String()
	tap.Out = &w.out
	if tap.Dial == nil {
		tap.Dial = func(context.Context) (net.Conn, error) {
			conn, err := net.Dial("tcp", w.server.Addr().String())
			if err != nil {
				return nil, err
			}
			return recorder{conn.(*net.TCPConn), &w.writes}, nil
		}
	}
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	go func() { w.served <- tap.Serve(ctx, ln) }()
	t.Cleanup(func() { w.end(); w.server.Close() })
	return w
}

// end ends the tap, as Ctrl-C does.
func (w *world) end() {
	w.stop()
	require.NoError(w.t, <-w.served)
	w.served <- nil
}

// connect returns both ends of a connection through the tap.
func (w *world) connect() (client, server *net.TCPConn) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { c.Close() })
	s, err := w.server.Accept()
	require.NoError(w.t, err)
	w.t.Cleanup(func() { s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
}

func receive(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	_, err := io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func receiveAll(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

// A recorder is a connection whose Writes are recorded.
type recorder struct {
	*net.TCPConn
	writes *lines
}

func (r recorder) Write(p []byte) (int, error) {
	r.writes.Write(append(bytes.Clone(p), '\n'))
	return r.TCPConn.Write(p)
}

// lines is output that a test can wait for.
type lines struct {
	mu      sync.Mutex
	changed sync.Cond
	text    string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text += string(p)
	l.changed.Broadcast()
	return len(p), nil
}

func (l *lines) waitFor(words string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !strings.Contains(l.text, words) {
		l.changed.Wait()
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text
}

func TestTap_PassesOnEverything(t *testing.T) {
	w := start(t, &Tap{})
	client, server := w.connect()

	send(t, client, "login alice")
	receive(t, server, "login alice")
	send(t, server, "hello alice")
	receive(t, client, "hello alice")
	require.NoError(t, client.CloseWrite())
	receiveAll(t, server, "")
	send(t, server, "bye") // the other half is still open
	require.NoError(t, server.Close())
	receiveAll(t, client, "bye")

	w.end()
	require.Equal(t, strings.TrimPrefix(`
    client 1                                       server
      │  "login alice" ───────────────────────────►  │
      │  ◄─────────────────────────── "hello alice"  │
      │  writes no more ──────────────────────────►  │
      │  ◄─────────────────────────────────── "bye"  │
      │  ◄────────────────────────────────── closes  │
`, "\n"), w.out.String())
}

func TestTap_PassesOnManyBytesUnchanged(t *testing.T) {
	w := start(t, &Tap{})
	client, server := w.connect()
	many := strings.Repeat("0123456789abcdef", 1<<16)

	go func() {
		io.WriteString(client, many)
		client.CloseWrite()
	}()

	receiveAll(t, server, many)
}

func TestTap_NumbersItsClients(t *testing.T) {
	w := start(t, &Tap{})
	client1, server1 := w.connect()
	client2, server2 := w.connect()

	send(t, client2, "two")
	receive(t, server2, "two")
	send(t, client1, "one")
	receive(t, server1, "one")
	send(t, client1, "and more")
	receive(t, server1, "and more")

	require.Equal(t, strings.TrimPrefix(`
    client 2                                       server
      │  "two" ───────────────────────────────────►  │
    client 1                                       server
      │  "one" ───────────────────────────────────►  │
      │  "and more" ──────────────────────────────►  │
`, "\n"), w.out.String())
}

func TestTap_Cut(t *testing.T) {
	w := start(t, &Tap{Cut: 3})
	client, server := w.connect()

	send(t, client, "login alice")
	receive(t, server, "login alice")

	require.Equal(t, "log\nin \nali\nce\n", w.writes.String())
	require.Contains(t, w.out.String(), `  (sends "login alice")`)
	require.Contains(t, w.out.String(), `  "ali" ─`)
}

func TestTap_Glue(t *testing.T) {
	w := start(t, &Tap{Glue: time.Hour}) // or until the client has sent all
	client, server := w.connect()

	send(t, client, "login alice")
	w.out.waitFor(`(sends "login alice")`)
	send(t, client, "delete all")
	require.NoError(t, client.CloseWrite())
	receiveAll(t, server, "login alicedelete all")

	require.Equal(t, "login alicedelete all\n", w.writes.String())
	require.Contains(t, w.out.String(), `  "login alicedelete all" ─`)
}

func TestTap_GlueEnds(t *testing.T) {
	w := start(t, &Tap{Glue: time.Millisecond})
	client, server := w.connect()

	send(t, client, "login alice")
	receive(t, server, "login alice")
	send(t, client, "delete all")
	receive(t, server, "delete all")

	require.Equal(t, "login alice\ndelete all\n", w.writes.String())
}

func TestTap_Delay(t *testing.T) {
	const delay = 50 * time.Millisecond
	w := start(t, &Tap{Delay: delay})
	client, server := w.connect()

	begin := time.Now()
	send(t, client, "ping")
	receive(t, server, "ping")
	require.GreaterOrEqual(t, time.Since(begin), delay)
	send(t, server, "pong")
	receive(t, client, "pong")
	require.GreaterOrEqual(t, time.Since(begin), 2*delay)
	require.NoError(t, client.CloseWrite())
	receiveAll(t, server, "")
	require.GreaterOrEqual(t, time.Since(begin), 3*delay)
}

func TestTap_ResetAfter(t *testing.T) {
	w := start(t, &Tap{ResetAfter: 8})
	client, server := w.connect()

	send(t, client, "hello")
	receive(t, server, "hello")
	send(t, server, "hello")

	// A reset, which isn't io.EOF, at both ends. What came before it may be
	// lost.
	got, err := io.ReadAll(client)
	require.Error(t, err)
	require.True(t, strings.HasPrefix("hel", string(got)))
	_, err = io.ReadAll(server)
	require.Error(t, err)
	w.end()
	require.Equal(t, strings.TrimPrefix(`
    client 1                                       server
      │  "hello" ─────────────────────────────────►  │
      │  ◄─────────────────────────────────── "hel"  │
      │  the tap resets ──────────────────────────►  │
      │  ◄────────────────────────── the tap resets  │
`, "\n"), w.out.String())
}

func TestTap_PassesOnAReset(t *testing.T) {
	w := start(t, &Tap{})
	client, server := w.connect()

	send(t, client, "hello")
	receive(t, server, "hello")
	require.NoError(t, client.SetLinger(0))
	require.NoError(t, client.Close())

	_, err := io.ReadAll(server)
	require.Error(t, err)
	w.end()
	require.Contains(t, w.out.String(), "│  resets ─")
}

func TestTap_EndsAtOnce(t *testing.T) {
	for name, tap := range map[string]*Tap{
		"idle": {}, "glueing": {Glue: time.Hour}, "delaying": {Delay: time.Hour},
		"cutting": {Cut: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, tap)
			client, server := w.connect()
			send(t, client, strings.Repeat("x", 30_000))

			w.end()

			_, err := net.Dial("tcp", w.addr)
			require.Error(t, err, "it still listens")
			io.Copy(io.Discard, server) // returns
			io.Copy(io.Discard, client)
			require.NotContains(t, w.out.String(), "resets")
		})
	}
}

func TestTap_SaysThatThereIsNoServer(t *testing.T) {
	connected := make(chan struct{})
	w := start(t, &Tap{Dial: func(context.Context) (net.Conn, error) {
		<-connected
		return nil, io.ErrNoProgress
	}})
	client, err := net.Dial("tcp", w.addr)
	require.NoError(t, err)
	defer client.Close()
	close(connected)

	_, err = client.Read(make([]byte, 1))

	require.Error(t, err)
	w.out.waitFor(io.ErrNoProgress.Error())
	require.Contains(t, w.out.String(), "(no connection)  │\n")
}

const asTap = "TAP_TEST_RUNS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asTap) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func tapCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asTap+"=1")
	return cmd
}

func TestMain_EndsWithCtrlC(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a program can't type Ctrl-C on Windows")
	}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer server.Close()
	cmd := tapCommand(t, "-listen", "127.0.0.1:0", "-dial", server.Addr().String())
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line := make([]byte, 200)
	n, err := out.Read(line)
	require.NoError(t, err)
	addr := strings.Fields(string(line[:n]))[4]

	client, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer client.Close()
	conn, err := server.Accept()
	require.NoError(t, err)
	defer conn.Close()
	send(t, client, "hello")
	receive(t, conn, "hello")

	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Contains(t, string(rest), `  "hello" ─`)
	require.NoError(t, cmd.Wait(), "the exit status isn't 0")
}

func TestMain_SaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, test := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"-listen", taken.Addr().String()}, 1, "tap: listen tcp " + taken.Addr().String()},
		{[]string{"-cut", "-1"}, 2, "negative"},
		{[]string{"cut", "3"}, 2, "only flags"},
		{[]string{"-glue", "50"}, 2, `invalid value "50" for flag -glue`},
	} {
		out, err := tapCommand(t, test.args...).CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, test.status, exit.ExitCode(), string(out))
		require.Contains(t, string(out), test.says, "%q", test.args)
	}
}
