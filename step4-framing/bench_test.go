package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkServers has 50 clients ask three servers, over real TCP: the document's, cured, which knows nothing of
// frames; a naive one with frames; and yours. Each client has one or sixteen frames under way. A server that breaks
// frames is left out.
//
//	go -C step4-framing/server test -run '^$' -bench .
func BenchmarkServers(b *testing.B) {
	for _, size := range []int{128, 4096} {
		for _, underWay := range []int{1, 16} {
			for _, server := range []struct {
				name  string
				serve func(ln net.Listener)
			}{
				{"cured", each(cured)},
				{"naive", each(naive)},
				{"yours", func(ln net.Listener) { (&Server{Log: slog.New(slog.DiscardHandler)}).Serve(ln) }},
			} {
				b.Run(fmt.Sprintf("%d-bytes/%d-under-way/%s", size, underWay, server.name), func(b *testing.B) {
					benchmark(b, server.serve, size, underWay)
				})
			}
		}
	}
}

// each returns a server that has a goroutine with handle for each client.
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

// cured is the document's process without the defect of its read buffer: it sends back what a Read returns.
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

// naive is the first way to do it that comes to mind: a Read for the header and one for the payload, new memory for each, and
// two Writes.
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

// benchmark has 50 clients send b.N frames in all, each so many in one Write, and take the answers.
func benchmark(b *testing.B, serve func(net.Listener), size, underWay int) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go serve(ln)
	const clients = 50
	batch := []byte(strings.Repeat(frames(strings.Repeat("m", size)), underWay))
	var conns []net.Conn
	for range clients {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, clients)
	b.ResetTimer()
	for _, conn := range conns {
		go func() {
			answer := make([]byte, len(batch))
			for left.Add(-int64(underWay)) > -int64(underWay) {
				if _, err := conn.Write(batch); err != nil {
					done <- err
					return
				}
				if _, err := io.ReadFull(conn, answer); err != nil {
					done <- err
					return
				}
				if !bytes.Equal(answer, batch) {
					done <- errors.New("the answers are not the frames that were sent")
					return
				}
			}
			done <- nil
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			b.Skip(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(0, "ns/op")
}
