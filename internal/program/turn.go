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

// turnstile is a port that a test listens on while it uses [Addr]. Tests of
// other packages, which go test runs at the same time, wait for it. Whatever
// happens to the test, the system frees the port with the process.
const turnstile = "127.0.0.1:19999"

// HasTurn is the environment variable by which a test that has its turn lends
// it to the tests that it runs as processes of their own.
const HasTurn = "TCP_STEPS_HAS_TURN"

// hasTurn tells that the exercise that is running in this process has its turn.
var hasTurn bool

// TakeTurn waits until no other test uses port 20000, and keeps it from the
// others until the exercise ends. It fails the exercise if the port is in use
// all the same. [Start] and [Listen] call it.
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
	if inUse() {
		e.Fatalf("%s is in use: is your server still running in another terminal?", Addr)
	}
}

func waitForTurn(e *lesson.Exercise) net.Listener {
	e.Helper()
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
		if inTurn, greets := holdsTurn(); inTurn && !greets {
			e.Fatalf(`
				Another program uses %s, so the test can't.

				The course's tests take turns on port 20000 by listening there. End that program.`,
				turnstile)
		}
		if time.Now().After(end) {
			e.Fatalf("Another test of the course that needs %s doesn't end: %v.", Addr, err)
		}
		time.Sleep(tick)
	}
}

// greeting tells those who wait for their turn that a test of the course has
// it, not another program.
const greeting = "tcp-steps\n"

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
	conn.SetReadDeadline(time.Now().Add(5 * patience * tick))
	got, err := io.ReadAll(io.LimitReader(conn, int64(len(greeting))))
	// A test that ends its turn resets those who still wait for its greeting.
	return true, string(got) == greeting || err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// inUse reports whether a program listens on Addr. On some systems another
// program may listen beside one that has ":20000", so that listening doesn't
// tell; on others dialing doesn't.
func inUse() bool {
	if Reaches(Addr) {
		return true
	}
	ln, err := net.Listen("tcp", Addr)
	if err != nil {
		return true
	}
	ln.Close()
	return false
}

// Reaches reports whether a program listens on the address of this machine.
func Reaches(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, patience/5*tick)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
