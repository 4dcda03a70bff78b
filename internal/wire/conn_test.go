package wire_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/tcp-steps/internal/wire"
	"github.com/stretchr/testify/require"
)

// read returns what one Read with a buffer of the given size returns.
func read(c *wire.Conn, size int) (string, error) {
	buf := make([]byte, size)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

func TestConn_ReadsPieceByPiece(t *testing.T) {
	client, server := wire.Pipe()
	for _, piece := range []string{"hel", "", "lo"} {
		n, err := client.Write([]byte(piece))
		require.NoError(t, err)
		require.Len(t, piece, n)
	}
	client.CloseWrite()
	for _, want := range []string{"he", "l", "lo"} {
		got, err := read(server, 2)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := read(server, 2)
	require.Equal(t, io.EOF, err)
}

func TestConn_DoesNotKeepWhatItWasGiven(t *testing.T) {
	client, server := wire.Pipe()
	buf := []byte("hello")
	client.Write(buf)
	copy(buf, "XXXXX")
	got, _ := read(server, 5)
	require.Equal(t, "hello", got)
}

func TestConn_HalfClose(t *testing.T) {
	client, server := wire.Pipe()
	client.Write([]byte("question"))
	require.NoError(t, client.CloseWrite())
	_, err := client.Write([]byte("more"))
	require.ErrorIs(t, err, syscall.EPIPE)

	got, _ := read(server, 100)
	require.Equal(t, "question", got)
	_, err = read(server, 100)
	require.Equal(t, io.EOF, err)
	_, err = server.Write([]byte("answer"))
	require.NoError(t, err, "the other direction is open")
	got, _ = read(client, 100)
	require.Equal(t, "answer", got)
}

func TestConn_Close(t *testing.T) {
	client, server := wire.Pipe()
	client.Write([]byte("last words"))
	require.NoError(t, client.Close())
	require.ErrorIs(t, client.Close(), net.ErrClosed)
	_, err := read(client, 1)
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = client.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, client.SetDeadline(time.Time{}), net.ErrClosed)

	got, _ := read(server, 100)
	require.Equal(t, "last words", got, "what was in flight still arrives")
	_, err = read(server, 100)
	require.Equal(t, io.EOF, err)
	n, err := server.Write([]byte("x"))
	require.NoError(t, err, "only the answer to the first Write says that the other end is gone")
	require.Equal(t, 1, n)
	_, err = server.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
}

func TestConn_CloseWithUnreadBytesIsAReset(t *testing.T) {
	client, server := wire.Pipe()
	client.Write([]byte("never read"))
	server.Write([]byte("answer"))
	server.Close()

	got, err := read(client, 100)
	require.NoError(t, err, "what arrived before the reset can be read")
	require.Equal(t, "answer", got)
	_, err = read(client, 100)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = client.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
	_, err = read(client, 100)
	require.Equal(t, io.EOF, err, "only the first call after a reset returns ECONNRESET")
}

func TestConn_Reset(t *testing.T) {
	client, server := wire.Pipe()
	client.Reset()
	_, err := read(server, 1)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	var op *net.OpError
	require.True(t, errors.As(err, &op))
	require.Equal(t, "read", op.Op)
	require.Equal(t, "read tcp 127.0.0.1:20000->127.0.0.1:50000: read: "+syscall.ECONNRESET.Error(),
		err.Error())
}

func TestConn_ReportsAResetToTheFirstCall(t *testing.T) {
	client, server := wire.Pipe()
	client.Reset()
	_, err := server.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = read(server, 1)
	require.Equal(t, io.EOF, err)
	_, err = server.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
}

func TestConn_Deadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wire.Pipe()
		start := time.Now()
		server.SetReadDeadline(start.Add(3 * time.Second))
		_, err := read(server, 1)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(start))

		client.Write([]byte("x"))
		_, err = read(server, 1)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded,
			"a deadline stays, even when there is something to read")
		server.SetReadDeadline(time.Time{})
		got, err := read(server, 1)
		require.NoError(t, err)
		require.Equal(t, "x", got)

		client.SetReadBuffer(3)
		server.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := server.Write([]byte("hello"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 3, n, "a Write that times out has written a part")
	})
}

func TestConn_CloseEndsBlockedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wire.Pipe()
		client.SetReadBuffer(1)
		errs := make(chan error, 2)
		go func() { _, err := read(server, 1); errs <- err }()
		go func() { _, err := server.Write([]byte("hello")); errs <- err }()
		synctest.Wait()
		server.Close()
		require.ErrorIs(t, <-errs, net.ErrClosed)
		require.ErrorIs(t, <-errs, net.ErrClosed)
	})
}
