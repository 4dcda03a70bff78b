package echo_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/tcp-steps/internal/wire"
	echo "example.com/tcp-steps/step4-framing"
)

// BenchmarkServers compares three servers over real TCP: the document's with
// its read buffer fixed, which knows no frames; a naive one with frames; and
// yours. 50 clients have one frame or sixteen in flight each. A server that
// loses or breaks frames is left out, and a line says why.
//
//	go -C step4-framing test -run '^$' -bench .
func BenchmarkServers(b *testing.B) {
	yours := func(ln net.Listener) {
		(&echo.Server{Log: slog.New(slog.DiscardHandler)}).Serve(ln)
	}
	for _, size := range []int{128, 4096} {
		for _, inFlight := range []int{1, 16} {
			for _, server := range []struct {
				name  string
				serve func(ln net.Listener)
			}{{"cured", each(cured)}, {"naive", each(naive)}, {"yours", yours}} {
				name := fmt.Sprintf("%d-bytes/%d-in-flight/%s", size, inFlight, server.name)
				b.Run(name, func(b *testing.B) {
					batch := wire.Frames(strings.Repeat("m", size))
					benchmark(b, server.serve, strings.Repeat(batch, inFlight), inFlight)
				})
			}
		}
	}
}

// each returns a server that calls handle in a goroutine for each client.
func each(handle func(conn net.Conn)) func(net.Listener) {
	return func(ln net.Listener) {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}
}

// cured is the document's process with its read buffer fixed: it sends back
// what a Read returns.
func cured(conn net.Conn) {
	reader := bufio.NewReader(conn)
	var buf [128]byte
	for {
		n, err := reader.Read(buf[:])
		if err != nil {
			return
		}
		conn.Write(buf[:n])
	}
}

// naive is the first way that comes to mind: a Read for the header and one for
// the payload, new memory for each, and two Writes.
func naive(conn net.Conn) {
	for {
		var length uint32
		if err := binary.Read(conn, binary.BigEndian, &length); err != nil {
			return
		}
		payload := make([]byte, length)
		if _, err := io.ReadFull(conn, payload); err != nil {
			return
		}
		if err := binary.Write(conn, binary.BigEndian, length); err != nil {
			return
		}
		if _, err := conn.Write(payload); err != nil {
			return
		}
	}
}

// patience is how long a client waits for its answers.
const patience = 5 * time.Second

// benchmark has 50 clients send b.N frames in all. Each sends a batch in one
// Write, then waits for its answers.
func benchmark(b *testing.B, serve func(net.Listener), batch string, frames int) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go serve(ln)
	var conns []net.Conn
	for range 50 {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(batch) / frames))
	var left atomic.Int64
	left.Store(int64(b.N))
	errs := make(chan error, len(conns))
	b.ResetTimer()
	for _, conn := range conns {
		go func() {
			errs <- exchange(conn, []byte(batch), func() bool {
				return left.Add(-int64(frames)) > -int64(frames)
			})
		}()
	}
	for range conns {
		if err := <-errs; err != nil {
			fmt.Fprintf(os.Stderr, "%s is left out: %v\n", b.Name(), err)
			b.SkipNow()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(0, "ns/op")
}

// exchange sends batches as long as more says so. It returns what went wrong.
func exchange(conn net.Conn, batch []byte, more func() bool) error {
	answer := make([]byte, len(batch))
	for i := 0; more(); i++ {
		if i%64 == 0 {
			conn.SetDeadline(time.Now().Add(patience))
		}
		if _, err := conn.Write(batch); err != nil {
			return fmt.Errorf("a client couldn't send its frames: %w", err)
		}
		n, err := io.ReadFull(conn, answer)
		if err != nil {
			return fmt.Errorf("a client sent %d bytes of frames and got %d bytes, then: %w",
				len(batch), n, err)
		}
		if !bytes.Equal(answer, batch) {
			return errors.New("a client's answers weren't the frames that it sent")
		}
	}
	return nil
}
