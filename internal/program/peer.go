package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"example.com/tcp-steps/internal/wire"
)

// A Peer is the test's end of a TCP connection with the program. Only the
// test's goroutine may call its methods.
type Peer struct {
	program *Program
	conn    *net.TCPConn
	side    wire.Side // the test's
	picture wire.Picture
	ended   bool // the program's half has ended
	reset   bool // a reset ended it
}

// AnsweredClient starts the test binary as a client, types "hello" and answers
// it. It returns the client when it has shown the answer, or after a second,
// and the server's end of its connection.
func (t *T) AnsweredClient(answer string) (*Program, *Peer) {
	t.Helper()
	listener := t.Listen()
	client := t.Start()
	server := listener.Accept(client)
	client.Type("hello\n")
	server.Receive(len("hello"))
	server.Send(answer)
	client.Shows(answer)
	return client, server
}

// Dial connects a client to the program on [Addr] as soon as the program
// listens there. It fails the exercise if the program doesn't within a second.
func (p *Program) Dial() *Peer {
	p.e.Helper()
	for w := p.countdown(patience); w.more(); {
		over := p.hasEnded()
		conn, err := net.DialTimeout("tcp", Addr, patience*tick)
		if err == nil {
			return p.add(conn, wire.Client)
		}
		if over {
			break
		}
		time.Sleep(tick)
	}
	if p.hasEnded() {
		p.e.Fatalf("A client couldn't connect to %s: no program listens there. The server %s.%s",
			Addr, p, p.why("Listen", "listener"))
	}
	p.e.Fatalf(`
		A client couldn't connect to %s: no program listens there. The server is still
		running.

		Does it call net.Listen with "tcp" and this address?`, Addr)
	return nil
}

func (p *Program) add(conn net.Conn, side wire.Side) *Peer {
	peer := &Peer{program: p, conn: conn.(*net.TCPConn), side: side}
	p.peers = append(p.peers, peer)
	return peer
}

// A Server is the test's listener, for a program that's a client.
type Server struct {
	t  *T
	ln *net.TCPListener
}

// Listen listens on [Addr], in the exercise's turn, until the scenario ends.
func (t *T) Listen() *Server {
	t.Helper()
	TakeTurn(t.Exercise)
	return t.listen(Addr)
}

// ListenAnywhere listens until the scenario ends, on a port that the kernel
// picks. It's for a program that takes the address as a flag: see
// [Server.Addr].
func (t *T) ListenAnywhere() *Server {
	t.Helper()
	return t.listen("127.0.0.1:0")
}

// ListenOn is ListenAnywhere on another host of this machine, such as "::1".
func (t *T) ListenOn(host string) *Server {
	t.Helper()
	return t.listen(net.JoinHostPort(host, "0"))
}

func (t *T) listen(addr string) *Server {
	t.Helper()
	ln := listen(t.Exercise, addr)
	t.onEnd(func() { ln.Close() })
	return &Server{t, ln.(*net.TCPListener)}
}

// Addr returns the address at which the server listens: "127.0.0.1:20000".
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Close stops listening. Accepted connections stay open.
func (s *Server) Close() { s.ln.Close() }

// Accept waits until the program has connected, and fails the exercise if it
// doesn't.
func (s *Server) Accept(p *Program) *Peer {
	s.t.Helper()
	for w := p.countdown(patience); w.more(); {
		over := p.hasEnded()
		s.ln.SetDeadline(time.Now().Add(tick))
		conn, err := s.ln.Accept()
		if err == nil {
			return p.add(conn, wire.Server)
		}
		if over {
			s.t.Fatalf(`
				A server listened on %s%s, but the client didn't connect. The client %s.%s`,
				s.Addr(), s.flag(), p, s.why(p))
		}
	}
	s.t.Fatalf(`
		A server listened on %s%s, but the client didn't connect. The client is still
		running.

		Does it call net.Dial with "tcp" and this address before it reads the keyboard?`,
		s.Addr(), s.flag())
	return nil
}

// flag returns the words that say that the client's flag has the address, if it
// does.
func (s *Server) flag() string {
	if s.Addr() == Addr {
		return ""
	}
	return ", the address in the client's flag"
}

// why is the program's why. If it has nothing to say, why says what a flag's
// address is for.
func (s *Server) why(p *Program) string {
	why := p.why("Dial", "connection")
	if why == "" && s.flag() != "" && !p.Crashed() {
		why = "\n\nDoes main pass the flag's address to net.DialTimeout(\"tcp\", …) as it is? " +
			"Its host may be any, such as [::1]."
	}
	return why
}

// why asks a program that has ended without a connection what it did. It should
// have called a function of package net that returns what, "listener" or
// "connection".
func (p *Program) why(function, what string) string {
	switch {
	case strings.Contains(p.stderr.String(), "nil pointer dereference"):
		return fmt.Sprintf("\n\nDoes main call net.%s? If it returned an error, the %s is nil. "+
			"Look at the error before you use it, and print it.", function, what)
	case p.cmd.ProcessState.ExitCode() == 0:
		text := fmt.Sprintf("\n\nDoes main call net.%s with \"tcp\" and this address? If it "+
			"returned an error, print it.", function)
		if function == "Listen" {
			text += " When main returns, the program exits."
		} else {
			text += " main doesn't wait for a goroutine that calls it."
		}
		return text
	}
	return ""
}

// HasAnother reports whether the program has opened one more connection. It
// waits for a tick.
func (s *Server) HasAnother() bool {
	s.ln.SetDeadline(time.Now().Add(tick))
	conn, err := s.ln.Accept()
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Send sends the text in one Write. If the program doesn't read, Send gives up
// after a second. An error only shows in the picture.
func (peer *Peer) Send(text string) {
	peer.picture.Sent(peer.side, []byte(text))
	peer.conn.SetWriteDeadline(time.Now().Add(patience * tick)) // the program may not read
	if _, err := peer.conn.Write([]byte(text)); err != nil {
		for inner := err; inner != nil; inner = errors.Unwrap(inner) {
			err = inner // without the addresses
		}
		peer.picture.Note(peer.side, "can't send: "+err.Error())
	}
}

// Flood sends and reads nothing, until the program waits in Write and so reads
// no more either. After five seconds Flood ends, whatever the program does.
func (peer *Peer) Flood() {
	// A program that takes so many bytes doesn't wait. A server that answers
	// only 128 bytes of every 4,096 takes 140 MB until all buffers are full of
	// answers. A smaller receive buffer on this side would fill sooner. But
	// then the kernel may drop answers, with the acknowledgments that they
	// carry, and the program waits in Read.
	const enough = 512 << 20
	peer.picture.Note(peer.side, "sends without a pause, reads nothing")
	piece := bytes.Repeat([]byte("flood "), 700)
	sent, rests := 0, false
	for begin := time.Now(); sent < enough && time.Since(begin) < 5*time.Second; {
		peer.conn.SetWriteDeadline(time.Now().Add(patience / 10 * tick))
		n, err := peer.conn.Write(piece)
		sent += n
		switch {
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return
		case n > 0:
			rests = false
		case rests:
			return // it's idle and takes no more
		default:
			// The program may only be slow, on a busy machine. It isn't, if it
			// takes no more after it came to rest.
			if rests = peer.program.ComesToRest(); !rests {
				return
			}
		}
	}
}

// endless is how long a program may send on before Receive and Rest give up.
const endless = 30 * time.Second

// Receive waits until n bytes have arrived, and returns everything that has. It
// returns fewer if the connection ends, if nothing comes for a second, or if
// n bytes take longer than half a minute.
func (peer *Peer) Receive(n int) string {
	var got strings.Builder
	for begin := time.Now(); got.Len() < n && time.Since(begin) < endless; {
		piece, err := peer.read(patience)
		got.WriteString(piece)
		if err != nil {
			break
		}
	}
	return got.String()
}

// Rest waits until the program has ended its half of the connection, and
// returns what arrived before that. A close, a half-close or a reset ends it.
// ended is false if nothing comes for a second and the half is still open, or
// after 64 MiB or half a minute, if the program sends without end.
func (peer *Peer) Rest() (text string, ended bool) {
	var got strings.Builder
	for begin := time.Now(); got.Len() < 64<<20 && time.Since(begin) < endless; {
		piece, err := peer.read(patience)
		got.WriteString(piece)
		if err != nil {
			break
		}
	}
	return got.String(), peer.ended
}

// HasEnded reports whether the test has read up to the end of the program's
// half of the connection.
func (peer *Peer) HasEnded() bool { return peer.ended }

// WasReset reports whether that end was a reset.
func (peer *Peer) WasReset() bool { return peer.reset }

// Awaited finds out what a program that hasn't answered is waiting for. It
// sends a newline, then enough bytes to fill a buffer, then ends the test's
// half. After each of them it calls answered for an eighth of a second, or for
// longer if answered waits. It returns the words for what was sent before
// answered returned true, such as "a newline", and which calls wait for that.
// It returns "" if answered never did, or if the program has ended.
func (peer *Peer) Awaited(answered func() bool) (what, why string) {
	for _, probe := range []struct {
		what, why string
		send      func()
	}{
		{"a newline",
			"ReadString and Scan wait for a newline. Read returns what has arrived.",
			func() { peer.Send("\n") }},
		{"4,096 more bytes",
			"io.ReadFull waits for a full buffer. A bufio.Writer keeps its bytes until it's " +
				"full, or until Flush. Read returns what has arrived.",
			func() { peer.Send(strings.Repeat(".", 4096)) }},
		{"the end of the connection",
			"io.ReadAll waits for the end of the connection, and so does the code after a loop " +
				"that reads to the end. Read returns what has arrived: use it before you read on.",
			peer.CloseWrite},
	} {
		if peer.ended || peer.program.hasEnded() {
			break
		}
		probe.send()
		for w := peer.program.countdown(patience / 8); w.more(); time.Sleep(tick) {
			if answered() {
				return probe.what, probe.why
			}
		}
	}
	return "", ""
}

// HasMore reports whether anything more has arrived. It waits for a tick at
// most.
func (peer *Peer) HasMore() bool { return peer.take() != "" }

// Surplus returns what arrives within three ticks, after a message that seemed
// to be complete.
func (peer *Peer) Surplus() string {
	time.Sleep(3 * tick)
	return peer.take()
}

// read waits for the given ticks and returns what arrives next. It returns
// os.ErrDeadlineExceeded if nothing does.
func (peer *Peer) read(ticks int) (string, error) {
	buf := make([]byte, 4096)
	for w := peer.program.countdown(ticks); w.more(); {
		peer.conn.SetReadDeadline(time.Now().Add(tick))
		n, err := peer.conn.Read(buf)
		if n > 0 {
			peer.picture.Sent(peer.side.Other(), buf[:n])
			return string(buf[:n]), nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			if !peer.ended {
				peer.ended = true
				peer.reset = err != io.EOF
				words := "closes"
				if peer.reset {
					words = "resets"
				}
				peer.picture.Closed(peer.side.Other(), words)
			}
			return "", err
		}
	}
	peer.picture.Waited(peer.side)
	return "", os.ErrDeadlineExceeded
}

// take waits for a tick, and returns what has arrived.
func (peer *Peer) take() string {
	buf := make([]byte, 4096)
	peer.conn.SetReadDeadline(time.Now().Add(tick))
	n, _ := peer.conn.Read(buf)
	if n > 0 {
		peer.picture.Sent(peer.side.Other(), buf[:n])
	}
	return string(buf[:n])
}

// Close closes the connection.
func (peer *Peer) Close() {
	peer.picture.Closed(peer.side, "closes")
	peer.conn.Close()
}

// CloseWrite closes the test's half of the connection. The program reads
// io.EOF.
func (peer *Peer) CloseWrite() {
	peer.picture.Closed(peer.side, "writes no more")
	peer.conn.CloseWrite()
}

// Reset closes the connection with a reset, as the kernel does for a process
// that's killed with bytes unread.
func (peer *Peer) Reset() {
	peer.picture.Closed(peer.side, "resets")
	peer.conn.SetLinger(0)
	peer.conn.Close()
}
