package program

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"example.com/tcp-steps/internal/lesson"
)

// Addr is where the document's two programs meet.
const Addr = "127.0.0.1:20000"

// turnstile is the address on which a test listens while it uses [Addr]. Other
// packages' tests, which go test runs at the same time, wait for it. However
// the test's process ends, the kernel closes the listener.
const turnstile = "127.0.0.1:19999"

// HasTurn is an environment variable. A test that has its turn sets it to lend
// the turn to tests that it runs in other processes.
const HasTurn = "TCP_STEPS_HAS_TURN"

// hasTurn is true while an exercise in this process has its turn.
var hasTurn bool

// TakeTurn waits until no other test uses port 20000, and reserves the port
// until the exercise ends. It fails the exercise if the port is in use all the
// same. [T.Start], [Binary.Start] and [T.Listen] call it.
func TakeTurn(e *lesson.Exercise) {
	e.Helper()
	if hasTurn {
		return
	}
	if os.Getenv(HasTurn) == "" {
		turn := waitForTurn(e)
		e.Cleanup(func() { turn.Close() })
	}
	hasTurn = true
	e.Cleanup(func() { hasTurn = false })
	// A test that tries [::1]:20000 must find the learner's server or none.
	for _, addr := range []string{Addr, "[::1]:20000"} {
		if Reaches(addr) {
			e.Fatalf(inUse, addr)
		}
	}
	// Dialing isn't enough on every system: some let a program listen on
	// 127.0.0.1:20000 while another one listens on ":20000".
	listen(e, Addr).Close()
}

// listen listens on addr. It fails the exercise if it can't.
func listen(e *lesson.Exercise, addr string) net.Listener {
	e.Helper()
	ln, err := net.Listen("tcp", addr)
	switch {
	case err != nil && Reaches(addr):
		e.Fatalf(inUse, addr)
	case err != nil:
		e.Fatalf(cannotListen, err)
	}
	return ln
}

const inUse = "%s is in use: is your server still running in another terminal?"

const cannotListen = `
	The test couldn't listen: %v.

	No program answers there. A connection may still use the port, or the system reserves it,
	forbids this program to listen, or has no loopback interface.`

// waitForTurn waits until it can listen on the turnstile. It fails the exercise
// if it can't, shortly before go test's time limit. Without a limit, it waits
// for a minute. If no test has its turn and it still can't listen, it fails the
// exercise at once.
func waitForTurn(e *lesson.Exercise) net.Listener {
	e.Helper()
	strangers := 0 // times in a row that the turnstile didn't greet
	refused := 0   // times in a row that no program listened there
	end := time.Now().Add(time.Minute)
	if deadline, ok := e.Deadline(); ok {
		end = deadline.Add(-5 * time.Second)
	}
	for {
		turn, err := net.Listen("tcp", turnstile)
		if err == nil {
			go greet(turn)
			return turn
		}
		switch inTurn, greets := holdsTurn(); {
		case !inTurn:
			strangers = 0
			if refused++; refused == 20 { // a test may end just then
				e.Fatalf(cannotListen, err)
			}
		case greets:
			strangers, refused = 0, 0
		default:
			refused = 0
			if strangers++; strangers == 3 { // as above
				e.Fatalf(`
					Another program uses %s, which the test needs.

					The course's tests listen there to take turns on port 20000. End that program.
					It may be a test of the course that's stopped, in a debugger for example.`,
					turnstile)
			}
		}
		if time.Now().After(end) {
			e.Fatalf("The test waited for its turn on %s, but another test of the course didn't "+
				"end: %v.", Addr, err)
		}
		time.Sleep(tick)
	}
}

// greeting is what a test that has its turn sends on the turnstile. It tells
// the waiting tests that no other program listens there.
const greeting = "tcp-steps\n"

// greet sends the greeting on each connection until turn is closed.
func greet(turn net.Listener) {
	for {
		conn, err := turn.Accept()
		if err != nil {
			return
		}
		io.WriteString(conn, greeting)
		conn.Close()
	}
}

// holdsTurn reports whether a program listens on the turnstile, and whether it
// greets as a test of the course does.
func holdsTurn() (inTurn, greets bool) {
	conn, err := net.DialTimeout("tcp", turnstile, patience*tick)
	if err != nil {
		return false, false
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(2 * patience * tick))
	got, err := io.ReadAll(io.LimitReader(conn, int64(len(greeting))))
	// A test that ends its turn resets connections that wait for its greeting.
	return true, string(got) == greeting || err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// Reaches reports whether a program accepts connections on addr, an address of
// this machine.
func Reaches(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, patience/5*tick)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// HasAddress reports whether this machine has the address. Not every machine
// has IPv6, and macOS has no 127.0.0.2.
func HasAddress(host string) bool {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return false
	}
	ln.Close()
	return true
}
