package program_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// The proofs of the course keep port 20000 busy meanwhile.
	program.Timeout = 5 * time.Minute
	program.Main(m, main)
}

// main is all the programs of these tests. Its first argument says which.
func main() {
	switch os.Args[1] {
	case "echo":
		ln, err := net.Listen("tcp", program.Addr)
		if err != nil {
			panic(err)
		}
		fmt.Println("listening")
		for {
			conn, err := ln.Accept()
			if err != nil {
				panic(err)
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	case "client":
		conn, err := net.Dial("tcp", program.Addr)
		if err != nil {
			panic(err)
		}
		io.Copy(conn, os.Stdin)
	case "cat":
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			fmt.Println("read", in.Text())
		}
	case "count later":
		time.Sleep(1200 * time.Millisecond)
		in, _ := io.ReadAll(os.Stdin)
		fmt.Println("read", len(in))
	case "panic":
		panic(errors.New("I cannot go on"))
	case "prompt and panic":
		fmt.Print("> ")
		panic(errors.New("I cannot go on"))
	case "stderr":
		fmt.Fprintln(os.Stderr, "to standard error")
	case "memory":
		for n := 0; n >= 0; n++ {
			go func() { select {} }()
		}
	case "flood":
		for {
			fmt.Println(strings.Repeat("x", 1000))
		}
	case "lines":
		ln, err := net.Listen("tcp", program.Addr)
		if err != nil {
			panic(err)
		}
		conn, err := ln.Accept()
		if err != nil {
			panic(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		fmt.Println(err)
		io.WriteString(conn, line)
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	case "busy":
		fmt.Println("busy")
		for n := 0; ; n++ {
		}
	case "wait":
		fmt.Println("waiting")
		time.Sleep(time.Hour) // select {} can be a deadlock, which Go ends
	case "interrupted":
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt)
		fmt.Println("ready")
		<-signals
		fmt.Fprintln(os.Stderr, "interrupted")
		os.Exit(7)
	case "dial":
		conn, err := net.Dial("tcp", os.Args[2])
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, "here I am")
		io.Copy(io.Discard, conn)
	}
}

// with runs a scenario that passes.
func with(t *testing.T, f func(t *program.T)) {
	t.Helper()
	program.Test(&lesson.Exercise{T: t}, "a program that does its work", f)
}

func TestProgram_TalksToClients(t *testing.T) {
	with(t, func(t *program.T) {
		p := t.Start("echo")
		one, two := p.Dial(), p.Dial()
		two.Send("two")
		require.Equal(t, "two", two.Receive(3))
		one.Send("one")
		require.Equal(t, "one", one.Receive(3))
		require.True(t, p.Shows("listening"))
		require.True(t, p.StaysUp())
		require.Equal(t, "is still running", p.String())

		one.CloseWrite()
		rest, ended := one.Rest()
		require.True(t, ended)
		require.Empty(t, rest)
		two.Reset()
	})
}

func TestProgram_TalksToAServer(t *testing.T) {
	with(t, func(t *program.T) {
		listener := t.Listen()
		p := t.Start("client")
		server := listener.Accept(p)
		p.Type("hello")
		require.Equal(t, "hello", server.Receive(5))
		p.CloseInput()
		rest, ended := server.Rest()
		require.True(t, ended)
		require.Empty(t, rest)
		require.True(t, p.Ended())
		require.Equal(t, "exited with status 0", p.String())
	})
}

func TestProgram_ReadsAndPrints(t *testing.T) {
	with(t, func(t *program.T) {
		p := t.Start("cat")
		p.Type("one\ntwo\n")
		require.True(t, p.Shows("read two"))
		p.CloseInput()
		require.True(t, p.Ended())
		require.Equal(t, "read one\nread two\n", strings.ReplaceAll(p.Stdout(), "\r", ""))
		p.Type("the program is gone\n")
	})
}

func TestProgram_ReadsLaterAllThatWasTyped(t *testing.T) {
	with(t, func(t *program.T) {
		p := t.Start("count later")
		p.Type(strings.Repeat("x", 1<<20))
		p.CloseInput()
		require.True(t, p.Shows("read"))
		require.Equal(t, "read 1048576", strings.TrimSpace(p.Stdout()))
	})
}

func TestProgram_Panics(t *testing.T) {
	with(t, func(t *program.T) {
		p := t.Start("panic")
		require.True(t, p.Ended())
		require.True(t, p.Crashed())
		require.Equal(t, "crashed: I cannot go on", p.String(), "at no line of a learner's")
	})
}

func TestProgram_PanicsBehindAPrompt(t *testing.T) {
	with(t, func(t *program.T) {
		p := t.Start("prompt and panic")
		require.True(t, p.Ended())
		require.Equal(t, "crashed: I cannot go on", p.String())
	})
}

func TestProgram_SaysSomethingOnEitherStream(t *testing.T) {
	with(t, func(t *program.T) {
		p := t.Start("stderr")
		require.True(t, p.Says())
		require.False(t, p.Shows("to standard error"))
		require.Equal(t, "to standard error\n", p.Output())
	})
}

func TestProgram_IsInterrupted(t *testing.T) {
	with(t, func(t *program.T) {
		p := t.Start("interrupted")
		require.Equal(t, -1, p.ExitStatus())
		require.True(t, p.Shows("ready"))
		if !p.Interrupt() {
			t.Skip("this system cannot send Ctrl-C to another program")
		}
		require.True(t, p.Ended())
		require.Equal(t, 7, p.ExitStatus())
		require.Equal(t, "exited with status 7", p.String())
		require.Equal(t, "interrupted\n", p.Stderr())
		require.Equal(t, "ready\n", p.Stdout())
	})
	with(t, func(t *program.T) {
		p := t.Start("wait")
		require.True(t, p.Shows("waiting"))
		require.True(t, p.Interrupt())
		require.True(t, p.Ended())
		require.Contains(t, p.String(), "was ended by a signal")
	})
}

func TestProgram_GoesWhereItIsTold(t *testing.T) {
	with(t, func(t *program.T) {
		listener := t.ListenAnywhere()
		require.NotEqual(t, program.Addr, listener.Addr())
		server := listener.Accept(t.Start("dial", listener.Addr()))
		require.Equal(t, "here I am", server.Receive(9))
	})
}

func TestBuild(t *testing.T) {
	for range 2 { // the second time it's there already
		with(t, func(t *program.T) {
			p := t.Build("./testdata/hello").Start("you")
			require.True(t, p.Ended())
			require.Equal(t, "hello you\n", strings.ReplaceAll(p.Stdout(), "\r", ""))
		})
	}
}

func TestProgram_MayPrintWithoutEnd(t *testing.T) {
	with(t, func(t *program.T) {
		p := t.Start("flood")
		require.True(t, p.Shows(strings.Repeat("x", 1000)))
		require.LessOrEqual(t, len(p.Output()), 1<<20)
	})
}

func TestProgram_IsGivenUpAfterASecond(t *testing.T) {
	with(t, func(t *program.T) {
		p := t.Start("wait")
		begin := time.Now()
		require.False(t, p.Ended())
		require.Greater(t, time.Since(begin), time.Second-50*time.Millisecond)
	})
}

var exhibits = map[string]func(t *program.T){
	"no program listens": func(t *program.T) { t.Start("cat").Dial() },
	"it crashed":         func(t *program.T) { t.Start("panic").Dial() },
	"no client dials":    func(t *program.T) { t.Listen().Accept(t.Start("stderr")) },
	"in use":             func(t *program.T) { t.Start("echo") },
	"in use, IPv6":       func(t *program.T) { t.Start("echo") },
	"can't listen":       func(t *program.T) { t.ListenOn("192.0.2.1") }, // for documentation only
	"does not compile":   func(t *program.T) { t.Build("./testdata/broken") },
	"memory": func(t *program.T) {
		p := t.Start("memory")
		for tries := 0; tries < 10 && !p.Ended(); tries++ {
			// A busy machine takes its time to run out of memory.
		}
	},
	"a picture": func(t *program.T) {
		client := t.Start("echo").Dial()
		client.Send("hello")
		require.Empty(t, client.Receive(5), "There was an answer.")
	},
}

// Each exhibit is an exercise that fails, in a process of its own.
func TestProgram_FailsInPlainWords(t *testing.T) {
	if name := os.Getenv("EXHIBIT"); name != "" {
		e := lesson.Start(t, "docs/0-exhibit.md#1-fail", "main.go")
		program.Test(e, "an exhibit", exhibits[name])
		return
	}
	for name, want := range map[string][]string{
		"no program listens": {
			"A client couldn't connect to 127.0.0.1:20000: no program listens there.",
			"The server is still running.",
		},
		"it crashed": {"The server crashed: I cannot go on.", "the program printed:"},
		"no client dials": {
			"but the client didn't connect. The client exited with status 0.",
			"to standard error",
		},
		"in use": {
			"127.0.0.1:20000 is in use: is your server still running in another terminal?",
		},
		"in use, IPv6": {
			"[::1]:20000 is in use: is your server still running in another terminal?",
		},
		"can't listen": {
			"The test couldn't listen: listen tcp 192.0.2.1:0:", "No program answers there.",
		},
		"does not compile": {"testdata/broken doesn't compile", "undefined: missing"},
		"memory": {
			"took over 256 MiB of memory, far more than it needs, so the test ended it.",
		},
		"a picture": {"There was an answer.\n",
			`│  ◄───────────────────────────────── "hello"  │`, "│  still running\n",
			"listening\n"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestProgram_FailsInPlainWords$", "-test.v")
			cmd.Env = append(os.Environ(), "EXHIBIT="+name)
			addr := map[string]string{"in use": program.Addr, "in use, IPv6": "[::1]:20000"}[name]
			if addr != "" {
				program.TakeTurn(&lesson.Exercise{T: t})
				ln, err := net.Listen("tcp", addr)
				if addr != program.Addr && err != nil {
					t.Skip("this machine has no IPv6")
				}
				require.NoError(t, err)
				defer ln.Close()
				cmd.Env = append(cmd.Env, program.HasTurn+"=1")
			}
			out, err := cmd.CombinedOutput()
			if strings.Contains(string(out), "the go command isn't available here") {
				t.Skip(string(out))
			}
			require.Error(t, err, "the exhibit passes")
			for _, want := range append(want, "program_test.go:", "--- FAIL",
				"read on: docs/0-exhibit.md#1-fail\n", "edit:    internal/main.go\n",
				"An exhibit:\n") {
				unwrapped := strings.ReplaceAll(string(out), "\n        ", " ")
				require.Truef(t, strings.Contains(string(out), want) || strings.Contains(unwrapped,
					want), "%q is not in\n%s", want, out)
			}
		})
	}
}

func TestProgram_ComesToRest(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system doesn't say what a program's threads do")
	}
	with(t, func(t *program.T) {
		idle := t.Start("echo")
		idle.Dial()
		require.True(t, idle.ComesToRest())
		idle.Stop()

		busy := t.Start("busy")
		busy.Shows("busy")
		require.False(t, busy.ComesToRest())
		busy.Stop()
	})
}

func TestProgram_SaysOther(t *testing.T) {
	with(t, func(t *program.T) {
		p := t.Start("stderr")
		require.True(t, p.SaysOther("to standard"), "a line that's known in part is another one")
		require.False(t, p.SaysOther("12:34 to standard error\n"),
			"the program has said nothing else")
	})
}

func TestPeer_Awaited(t *testing.T) {
	with(t, func(t *program.T) {
		p := t.Start("lines")
		client := p.Dial()
		client.Send("hello")
		what, why := client.Awaited(client.HasMore)
		require.Equal(t, "a newline", what)
		require.Contains(t, why, "ReadString")
		client.Rest()
		require.True(t, client.WasReset())
		what, _ = client.Awaited(func() bool { return true })
		require.Empty(t, what, "the connection has ended")
	})
	with(t, func(t *program.T) {
		p := t.Start("echo")
		client := p.Dial()
		p.Stop()
		what, _ := client.Awaited(func() bool { return true })
		require.Empty(t, what, "the program has ended")
	})
}
