package wire_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/wire"
	"github.com/stretchr/testify/require"
)

// serve echoes until the client leaves, as it should be done.
func serve(conn net.Conn) {
	defer conn.Close()
	io.Copy(conn, conn)
}

// exhibits are exercises that fail, to show how. Each runs in a process of its
// own.
var exhibits = map[string]struct {
	run  func(t *wire.T)
	want []string // what the failure says
}{
	"a panic": {
		func(t *wire.T) {
			client, conn := t.Client()
			t.Go(func() { panicsAtOnce(conn) })
			client.Send("hello")
			client.Receive()
		},
		[]string{"scenario_test.go:",
			"An exhibit:\n        The program panicked: that was unexpected", `│  "hello" ───`,
			"5 bytes unread", "read on: docs/0-exhibit.md#1-fail\n"},
	},
	"a panic in a call that the scenario makes itself": {
		func(t *wire.T) {
			_, conn := t.Client()
			panicsAtOnce(conn)
		},
		[]string{"The program panicked: that was unexpected",
			"read on: docs/0-exhibit.md#1-fail\n"},
	},
	"a loop in a call that the scenario makes itself": {
		func(t *wire.T) {
			_, conn := t.Client()
			for {
				conn.Read(nil)
			}
		},
		[]string{"Read returned 0 and nil 1000 times", "a slice of length 0"},
	},
	"a wait in a call that the scenario makes itself": {
		func(t *wire.T) {
			client, _ := t.Client()
			client.Send("hello")
			fmt.Println("what the program prints")
			<-make(chan int)
		},
		[]string{"The program waits forever: ", `│  "hello" ───`,
			"the program printed:\n          what the program prints\n"},
	},
	"a panic in a hook of Read": {
		func(t *wire.T) {
			client, conn := t.Client()
			t.Go(func() { conn.Read(make([]byte, 10)) })
			client.OnRead(func() { panic("that was unexpected") })
			client.Send("hello")
			client.Receive()
		},
		[]string{"The program panicked: that was unexpected"},
	},
	"a panic in a hook of Accept": {
		func(t *wire.T) {
			ln := t.Listen()
			ln.OnAccept(func() { panic("that was unexpected") })
			t.Go(func() { ln.Accept() })
			ln.Dial().Receive()
		},
		[]string{"The program panicked: that was unexpected"},
	},
	"an answer that never ends": {
		func(t *wire.T) {
			client, conn := t.Client()
			t.Go(func() {
				for {
					conn.Write([]byte("hello"))
					time.Sleep(time.Second / 20)
				}
			})
			require.Empty(t, client.Receive(), "the answer never ends")
		},
		[]string{"the answer never ends", `│  ◄───────────────────────────────── "hello"  │`},
	},
	"an answer that never ends, in pieces of a byte": {
		func(t *wire.T) {
			client, conn := t.Client()
			client.Hold(1)
			t.Go(func() {
				for {
					conn.Write([]byte("hello"))
				}
			})
			require.Empty(t, client.Receive(), "the answer never ends")
		},
		[]string{"the answer never ends"},
	},
	"a loop around Read after the end": {
		func(t *wire.T) {
			client, conn := t.Client()
			t.Go(func() {
				for {
					conn.Read(make([]byte, 10))
				}
			})
			client.Close()
			client.Ended()
		},
		[]string{"Read returned io.EOF 1000 times in a row, each time at once",
			"The other side has finished sending", "│  closes ───"},
	},
	"a loop around Read after its deadline": {
		func(t *wire.T) {
			client, conn := t.Client()
			t.Go(func() {
				conn.SetReadDeadline(time.Now())
				for {
					conn.Read(make([]byte, 10))
				}
			})
			client.Receive()
		},
		[]string{"Read returned os.ErrDeadlineExceeded 1000 times", "The deadline had passed"},
	},
	"a loop around Read with no room": {
		func(t *wire.T) {
			client, conn := t.Client()
			t.Go(func() {
				for {
					conn.Read(nil)
				}
			})
			client.Receive()
		},
		[]string{"Read returned 0 and nil 1000 times", "a slice of length 0"},
	},
	"a loop around Read on the input with no room": {
		func(t *wire.T) {
			server, _ := t.Server()
			keyboard := t.Keyboard()
			t.Go(func() {
				for {
					keyboard.Read(nil)
				}
			})
			server.Receive()
		},
		[]string{"Read on the input returned 0 and nil 1000 times", "a slice of length 0"},
	},
	"a loop around Write": {
		func(t *wire.T) {
			client, conn := t.Client()
			t.Go(func() {
				for {
					conn.Write([]byte("hello"))
				}
			})
			client.Receive()
		},
		[]string{"Write was called 2097152 times"},
	},
	"a loop around Write of much": {
		func(t *wire.T) {
			client, conn := t.Client()
			t.Go(func() {
				for {
					conn.Write(make([]byte, 1<<20))
				}
			})
			client.Receive()
		},
		[]string{"Write was called 64 times, with 67108864 bytes in total"},
	},
	"a loop around Accept": {
		func(t *wire.T) {
			ln := t.Listen()
			for range 10000 {
				ln.Fail(syscall.EMFILE)
			}
			t.Go(func() {
				for {
					ln.Accept()
				}
			})
			t.Wait()
		},
		[]string{"Accept returned the error", "1000 times in a row, each time at once",
			"That's a busy loop"},
	},
	"a loop around Accept after Close": {
		func(t *wire.T) {
			ln := t.Listen()
			t.Go(func() {
				ln.Close()
				for {
					ln.Accept()
				}
			})
			t.Wait()
		},
		[]string{"Accept returned net.ErrClosed 1000 times in a row, each time at once",
			"The program had closed the listener itself, so the loop must end."},
	},
	"goroutines without end that read": {
		func(t *wire.T) {
			_, conn := t.Client()
			t.Go(func() {
				for {
					go conn.Read(make([]byte, 1))
				}
			})
			t.Wait()
		},
		[]string{"oroutines"},
	},
	"goroutines without end that accept": {
		func(t *wire.T) {
			ln := t.Listen()
			t.Go(func() {
				for {
					go ln.Accept()
				}
			})
			t.Wait()
		},
		[]string{"oroutines"},
	},
	"goroutines without end": {
		func(t *wire.T) {
			t.Go(func() {
				for {
					go time.Sleep(time.Hour)
				}
			})
			t.Wait()
		},
		[]string{"goroutines that were still running"},
	},
	"memory without end": {
		func(t *wire.T) {
			t.Go(func() {
				for {
					kept = append(kept, make([]byte, 1<<20))
				}
			})
			t.Wait()
		},
		[]string{"MiB of memory, far more than the exercise needs"},
	},
	"a busy loop without Read, Write or Accept": {
		func(t *wire.T) {
			client, _ := t.Client()
			t.Go(func() {
				for n := 0; ; {
					n++
				}
			})
			client.Receive()
		},
		[]string{"The program is stuck: it called no Read, Write or Accept", "it's in a busy loop"},
	},
	"a loop around Read after the end of the input": {
		func(t *wire.T) {
			_, conn := t.Server()
			keyboard := t.Keyboard()
			t.Go(func() {
				defer conn.Close()
				for {
					keyboard.Read(make([]byte, 10))
				}
			})
			keyboard.TypeAndEnd("hello\n")
			t.Wait()
		},
		[]string{"Read on the input returned io.EOF 1000 times in a row", "The input has ended",
			`│  (typed: "hello\n")`, "│  (the input ends)"},
	},
	"a connection of an earlier client": {
		func(t *wire.T) {
			client, _ := t.Client()
			t.Go(func() { past.Write([]byte("hello")) })
			client.Receive()
		},
		[]string{"The program used a connection whose client had left long ago."},
	},
	"a lock that's never released": {
		func(t *wire.T) {
			client, _ := t.Client()
			var mu sync.Mutex
			t.Go(func() {
				mu.Lock()
				mu.Lock()
			})
			client.Receive()
		},
		[]string{"The program is stuck", "waits for a lock"},
	},
	"a panic that holds a lock": {
		func(t *wire.T) {
			client, _ := t.Client()
			var mu sync.Mutex
			locked := make(chan bool)
			t.Go(func() {
				mu.Lock()
				close(locked)
				panic("while I had it")
			})
			t.Go(func() {
				<-locked
				mu.Lock()
			})
			client.Receive()
		},
		[]string{"The program panicked: while I had it"},
	},
	"a call of os.Exit": {
		func(t *wire.T) {
			client, _ := t.Client()
			// This is what os.Exit(0) does in a test.
			t.Go(func() { panic("unexpected call to os.Exit(0) during test") })
			client.Receive()
		},
		[]string{"The program called os.Exit"},
	},
	"a goroutine that stays": {
		func(t *wire.T) {
			client, conn := t.Client()
			t.Go(func() {
				defer conn.Close()
				var group sync.WaitGroup
				group.Add(1)
				group.Wait()
			})
			client.Receive()
		},
		[]string{"left a goroutine behind that never ends"},
	},
	"an assertion, and output": {
		func(t *wire.T) {
			client, conn := t.Client()
			t.Go(func() {
				fmt.Println("what the program prints")
				serve(conn)
			})
			client.Send("hello")
			require.Equal(t, "HELLO", client.Receive(), "the answer is not in capitals")
		},
		[]string{
			"scenario_test.go:",
			"An exhibit:\n        the answer is not in capitals\n    \n        client",
			`│  ◄───────────────────────────────── "hello"  │`,
			"waits for more\n    \n" +
				"        the program printed:\n          what the program prints\n    \n" +
				"        read on: docs/0-exhibit.md#1-fail\n" +
				"        edit:    internal/main.go\n",
		},
	},
}

// kept keeps an exhibit's memory in use.
var kept [][]byte

// past is a connection of a scenario before the exhibit.
var past *wire.Conn

func panicsAtOnce(net.Conn) { panic("that was unexpected") }

func TestTest_FailsInPlainWords(t *testing.T) {
	if name := os.Getenv("EXHIBIT"); name != "" {
		e := lesson.Start(t, "docs/0-exhibit.md#1-fail", "main.go")
		wire.Test(e, "an earlier client", func(t *wire.T) { _, past = t.Client() })
		wire.Test(e, "an exhibit", exhibits[name].run)
		return
	}
	for name, exhibit := range exhibits {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestTest_FailsInPlainWords$", "-test.v")
			cmd.Env = append(os.Environ(), "EXHIBIT="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the exhibit passes")
			require.NotContains(t, string(out), "[running]")
			for _, want := range exhibit.want {
				require.Truef(t, strings.Contains(string(out), want) ||
					strings.Contains(unwrapped(string(out)), want),
					"%q isn't in\n%s", want, out)
			}
			require.Contains(t, string(out), "--- FAIL: TestTest_FailsInPlainWords")
		})
	}
}

// unwrapped returns out with the lines of messages joined.
func unwrapped(out string) string { return wrapped.ReplaceAllString(out, "$1 $2") }

var wrapped = regexp.MustCompile(`([^:\n ])\n {8}([^ │])`)

// in runs an exercise that passes.
func in(t *testing.T, f func(t *wire.T)) {
	t.Helper()
	wire.Test(&lesson.Exercise{T: t}, "right code", f)
}

func TestPeer_ReceivesWhatTheProgramWrites(t *testing.T) {
	in(t, func(t *wire.T) {
		client, conn := t.Client()
		done := t.Go(func() { serve(conn) })
		require.Equal(t, "", client.Receive())
		client.Send("hel", "lo")
		require.Equal(t, []string{"hel", "lo"}, client.ReceivePieces())
		require.Equal(t, "", client.Receive())
		require.False(t, client.Ended())
		require.False(t, done.Returned())

		client.CloseWrite()
		require.True(t, client.Ended())
		require.False(t, client.WasReset())
		require.True(t, done.Returned())
	})
}

func TestPeer_WaitsForAProgramThatPauses(t *testing.T) {
	in(t, func(t *wire.T) {
		client, conn := t.Client()
		done := t.Go(func() {
			time.Sleep(300 * time.Millisecond)
			conn.Write([]byte("late"))
			time.Sleep(300 * time.Millisecond)
		})
		require.Equal(t, "late", client.Receive())
		require.True(t, done.Returned())
	})
}

func TestPeer_WaitsForWhatComesInParts(t *testing.T) {
	in(t, func(t *wire.T) {
		client, conn := t.Client()
		work := make(chan bool, 1)
		t.Go(func() { // reads in one goroutine, and takes its time to answer in another
			go func() {
				for range work {
					time.Sleep(5 * time.Millisecond)
					conn.Write([]byte("one"))
					time.Sleep(5 * time.Millisecond)
					conn.Write([]byte("two"))
				}
				time.Sleep(10 * time.Millisecond)
				conn.Close()
			}()
			io.ReadFull(conn, make([]byte, 2))
			work <- true
			conn.Read(make([]byte, 1))
			close(work)
		})
		client.Send("go")
		require.Equal(t, "onetwo", client.Receive())
		client.CloseWrite()
		require.True(t, client.Ended())
		require.True(t, client.Closed())
	})
}

func TestPeer_KnowsHalfFromWhole(t *testing.T) {
	in(t, func(t *wire.T) {
		client, conn := t.Client()
		t.Go(func() { conn.CloseWrite() })
		require.True(t, client.Ended())
		require.False(t, client.Closed())
	})
}

func TestPeer_ThatTakesNothing(t *testing.T) {
	in(t, func(t *wire.T) {
		client, conn := t.Client()
		client.Hold(0)
		wrote := t.Go(func() { conn.Write([]byte("0123456789")) })
		require.False(t, wrote.Returned())
		client.Hold(3)
		require.Equal(t, "0123456789", client.Receive(), "Receive makes room, again and again")
		require.True(t, wrote.Returned())
	})
}

func TestPeer_AsAServer(t *testing.T) {
	in(t, func(t *wire.T) {
		server, conn := t.Server()
		var answer string
		asked := t.Go(func() {
			conn.Write([]byte("question"))
			buf := make([]byte, 100)
			n, _ := conn.Read(buf)
			answer = string(buf[:n])
		})
		require.Equal(t, "question", server.Receive())
		server.Send("answer")
		require.True(t, asked.Returned())
		require.Equal(t, "answer", answer)
	})
}

func TestPeer_IsReset(t *testing.T) {
	in(t, func(t *wire.T) {
		client, conn := t.Client()
		client.Send("never read")
		t.Go(func() { conn.Close() })
		require.True(t, client.WasReset())
	})
}

func TestPeer_IsResetAsOnWindows(t *testing.T) {
	in(t, func(t *wire.T) {
		client, conn := t.Client()
		client.ResetAsOnWindows()
		for range 3 {
			_, err := conn.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			_, err = conn.Write([]byte("x"))
			require.ErrorIs(t, err, syscall.ECONNRESET)
		}
	})
}

func TestTest_EndsWhatWaits(t *testing.T) {
	ended := false
	in(t, func(t *wire.T) {
		_, conn := t.Client()
		ln := t.Listen()
		t.Go(func() { ln.Accept() })
		t.Go(func() {
			defer func() { ended = true }()
			conn.Read(make([]byte, 1))
			os.Exit(3) // a program may do so when Read fails, and must not get here
		})
	})
	require.True(t, ended)
}

func TestTest_ReleasesALockHeldInWrite(t *testing.T) {
	in(t, func(t *wire.T) {
		client, conn := t.Client()
		client.Hold(0)
		var mu sync.Mutex
		t.Go(func() {
			mu.Lock()
			conn.Write([]byte("hello"))
			mu.Unlock()
		})
		t.Wait()
		t.Go(func() {
			time.Sleep(time.Second) // until the test is over
			mu.Lock()
		})
	})
}

func TestTest_WaitsForSleepingGoroutines(t *testing.T) {
	in(t, func(t *wire.T) {
		t.Go(func() { go time.Sleep(time.Minute) })
		t.Wait()
		require.Equal(t, 1, t.Goroutines())
	})
}

func TestTask_SaysHowItEnded(t *testing.T) {
	in(t, func(t *wire.T) {
		client, conn := t.Client()
		fine := t.Call(func() error { return nil })
		wrong := t.Call(func() error { return io.ErrNoProgress })
		reads := t.Call(func() error {
			defer conn.Close()
			_, err := conn.Read(make([]byte, 1))
			return err
		})
		require.True(t, fine.Returned() && wrong.Returned())
		require.Equal(t, "returned nil", fine.String())
		require.NoError(t, fine.Err())
		require.Equal(t, io.ErrNoProgress, wrong.Err())
		require.Contains(t, wrong.String(), "returned the error \"multiple Read calls")
		require.Equal(t, "is still running", reads.String())
		require.NoError(t, reads.Err())
		client.Close()
		require.True(t, reads.Returned())
		require.Equal(t, io.EOF, reads.Err())
	})
}

func TestPeer_TellsWithoutWaitingWhetherItIsClosed(t *testing.T) {
	in(t, func(t *wire.T) {
		client, conn := t.Client()
		t.Go(func() {
			conn.CloseWrite()
			time.Sleep(time.Second / 2)
			conn.Close()
		})
		require.True(t, client.Ended())
		require.False(t, client.IsClosed())
		require.True(t, client.Closed())
		require.True(t, client.IsClosed())
	})
}

func TestPeer_KnowsWhenADeadlineIsSet(t *testing.T) {
	in(t, func(t *wire.T) {
		client, conn := t.Client()
		set := 0
		client.OnReadDeadline(func() { set++ })
		t.Go(func() {
			defer conn.Close()
			conn.SetWriteDeadline(time.Now().Add(time.Minute))
			conn.SetReadDeadline(time.Now().Add(time.Minute))
			conn.SetDeadline(time.Now().Add(time.Minute))
		})
		require.True(t, client.Closed())
		require.Equal(t, 1, set)
	})
}

func TestKeyboardAndScreen(t *testing.T) {
	in(t, func(t *wire.T) {
		keyboard, screen := t.Keyboard(), t.Screen()
		done := t.Call(func() error {
			_, err := io.Copy(screen, iotest.OneByteReader(keyboard))
			return err
		})
		require.False(t, screen.Shows("hello"))
		keyboard.Type("hel")
		keyboard.Type("lo\n")
		require.True(t, screen.Shows("hello\n"))
		require.Equal(t, "hello\n", screen.Text())
		require.False(t, done.Returned())
		keyboard.TypeAndEnd("bye")
		require.True(t, done.Returned())
		require.Equal(t, "hello\nbye", screen.Text())
	})
}

func TestKeyboard_EndsABlockedRead(t *testing.T) {
	ended := false
	in(t, func(t *wire.T) {
		keyboard := t.Keyboard()
		t.Go(func() {
			defer func() { ended = true }()
			keyboard.Read(make([]byte, 1))
			os.Exit(3)
		})
		t.Wait()
	})
	require.True(t, ended)
}

// The wire doesn't synchronize goroutines on two connections. If it did, the
// race detector would miss the code under test's races. It must find this
// test's race, in a process of its own.
func TestTest_HidesNoRace(t *testing.T) {
	if os.Getenv("EXHIBIT") == "a race" {
		in(t, func(t *wire.T) {
			ln := t.Listen()
			shared := 0
			t.Go(func() {
				for range 2 {
					conn, _ := ln.Accept()
					go func() {
						defer conn.Close()
						conn.Read(make([]byte, 1))
						shared++
						conn.Write([]byte("x"))
					}()
				}
			})
			one, two := ln.Dial(), ln.Dial()
			one.Send("1")
			two.Send("2")
			one.Receive()
			two.Receive()
		})
		return
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("the race detector isn't available here: %v", err)
	}
	file := filepath.Join(t.TempDir(), "race.test.exe")
	// With -trimpath, go reuses what it compiles for the proof of the course.
	if out, err := exec.Command("go", "test", "-race", "-trimpath", "-vet=off", "-c", "-o", file,
		".").CombinedOutput(); err != nil {
		t.Skipf("the race detector isn't available here: %s", out)
	}
	for _, processors := range []string{"1", "2"} {
		cmd := exec.Command(file, "-test.run=^TestTest_HidesNoRace$")
		cmd.Env = append(os.Environ(), "EXHIBIT=a race", "GOMAXPROCS="+processors,
			lesson.RaceOptions())
		out, err := cmd.CombinedOutput()
		require.Errorf(t, err, "GOMAXPROCS=%s: the race is hidden", processors)
		require.Contains(t, string(out), "WARNING: DATA RACE")
	}
}

func TestListener_TellsThatItAccepts(t *testing.T) {
	in(t, func(t *wire.T) {
		ln := t.Listen()
		waiting := 0
		ln.OnAccept(func() {
			waiting++
			time.Sleep(time.Minute)
			ln.Close() // the client that has left the backlog is accepted all the same
		})
		ln.Dial()
		var conn net.Conn
		accepted := t.Call(func() (err error) {
			conn, err = ln.Accept()
			return err
		})
		t.Wait()
		require.Equal(t, 1, waiting)
		require.Equal(t, 0, ln.Waiting())
		require.False(t, accepted.Returned())
		time.Sleep(time.Minute)
		require.True(t, accepted.Returned())
		require.NoError(t, accepted.Err())
		conn.Close()
	})
}

func TestListener_AcceptsInTurn(t *testing.T) {
	in(t, func(t *wire.T) {
		ln := t.Listen()
		early := ln.Dial()
		early.Send("before Accept")
		var accepted []net.Conn
		var errs []error
		done := t.Go(func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					errs = append(errs, err)
					return
				}
				accepted = append(accepted, conn)
				go serve(conn)
			}
		})
		require.Equal(t, "before Accept", early.Receive())
		late := ln.Dial()
		late.Send("hello")
		require.Equal(t, "hello", late.Receive())
		require.Equal(t, late.Addr().String(), accepted[1].RemoteAddr().String())
		require.NotEqual(t, late.Addr().String(), early.Addr().String())

		require.False(t, early.Closed())
		ln.Close()
		require.True(t, done.Returned())
		require.ErrorIs(t, errs[0], net.ErrClosed)
		require.True(t, ln.Closed())
		require.ErrorIs(t, ln.Close(), net.ErrClosed)
		require.True(t, ln.Dial().WasReset(), "the listener is closed")
	})
}

func TestListener_FailsAsWritten(t *testing.T) {
	in(t, func(t *wire.T) {
		ln := t.Listen()
		ln.Fail(syscall.EMFILE, syscall.EMFILE)
		client := ln.Dial()
		t.Go(func() {
			for {
				conn, err := ln.Accept()
				if err == nil {
					serve(conn)
					return
				}
				time.Sleep(time.Second)
			}
		})
		t.Wait()
		require.Equal(t, 1, ln.Waiting())
		client.Send("hello")
		require.Empty(t, client.Arrived(), "Arrived lets no time pass, so nothing has accepted yet")
		time.Sleep(3 * time.Second)
		require.Equal(t, []string{"hello"}, client.Arrived())
		calls := ln.Calls()
		require.Len(t, calls, 3)
		require.Equal(t, time.Second, calls[1].Sub(calls[0]))
		require.Equal(t, 0, ln.Waiting())
	})
}
