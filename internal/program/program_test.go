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
	"strings"
	"testing"
	"time"

	"example.com/tcp-steps/internal/lesson"
	"example.com/tcp-steps/internal/program"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.timeout", "5m") // the proofs of the course keep port 20000 busy meanwhile
	program.Main(m, main)
}

// main is all the programs of these tests; its argument says which.
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
	case "stderr":
		fmt.Fprintln(os.Stderr, "to standard error")
	case "flood":
		for {
			fmt.Println(strings.Repeat("x", 1000))
		}
	case "wait":
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

func start(t *testing.T, args ...string) (*lesson.Exercise, *program.Program) {
	t.Helper()
	e := &lesson.Exercise{T: t}
	return e, program.Start(e, args...)
}

func TestProgram_TalksToClients(t *testing.T) {
	_, p := start(t, "echo")
	one, two := p.Dial(), p.Dial()
	two.Send("two")
	require.Equal(t, "two", two.Receive(3))
	one.Send("one")
	require.Equal(t, "one", one.Receive(3))
	require.True(t, p.Shows("listening"))
	require.True(t, p.StaysUp())
	require.Equal(t, "it is still running", p.String())

	one.CloseWrite()
	rest, ended := one.Rest()
	require.True(t, ended)
	require.Empty(t, rest)
	two.Reset()
}

func TestProgram_TalksToAServer(t *testing.T) {
	e := &lesson.Exercise{T: t}
	listener := program.Listen(e)
	p := program.Start(e, "client")
	server := listener.Accept(p)
	p.Type("hello")
	require.Equal(t, "hello", server.Receive(5))
	p.CloseInput()
	rest, ended := server.Rest()
	require.True(t, ended)
	require.Empty(t, rest)
	require.True(t, p.Ended())
	require.Equal(t, "it has ended, with exit status 0", p.String())
}

func TestProgram_ReadsAndPrints(t *testing.T) {
	_, p := start(t, "cat")
	p.Type("one\ntwo\n")
	require.True(t, p.Shows("read two"))
	p.CloseInput()
	require.True(t, p.Ended())
	require.Equal(t, "read one\nread two\n", strings.ReplaceAll(p.Stdout(), "\r", ""))
	p.Type("to nobody\n")
}

func TestProgram_ReadsLaterAllThatWasTyped(t *testing.T) {
	_, p := start(t, "count later")
	p.Type(strings.Repeat("x", 1<<20))
	p.CloseInput()
	require.True(t, p.Shows("read"))
	require.Equal(t, "read 1048576", strings.TrimSpace(p.Stdout()))
}

func TestProgram_Panics(t *testing.T) {
	_, p := start(t, "panic")
	require.True(t, p.Ended())
	require.True(t, p.Crashed())
	require.Equal(t, "it crashed: I cannot go on", p.String(), "at no line of a learner's")
}

func TestProgram_SaysSomethingOnEitherStream(t *testing.T) {
	_, p := start(t, "stderr")
	require.True(t, p.Says())
	require.False(t, p.Shows("to standard error"))
	require.Equal(t, "to standard error\n", p.Output())
}

func TestProgram_IsInterrupted(t *testing.T) {
	_, p := start(t, "interrupted")
	require.Equal(t, -1, p.ExitStatus())
	require.True(t, p.Shows("ready"))
	if !p.Interrupt() {
		t.Skip("this system cannot send Ctrl-C to another program")
	}
	require.True(t, p.Ended())
	require.Equal(t, 7, p.ExitStatus())
	require.Equal(t, "it has ended, with exit status 7", p.String())
	require.Equal(t, "interrupted\n", p.Stderr())
	require.Equal(t, "ready\n", p.Stdout())

	_, p = start(t, "wait")
	time.Sleep(50 * time.Millisecond) // it has no time to do anything about it
	require.True(t, p.Interrupt())
	require.True(t, p.Ended())
	require.Contains(t, p.String(), "it has been ended by a signal")
}

func TestProgram_GoesWhereItIsTold(t *testing.T) {
	e := &lesson.Exercise{T: t}
	listener := program.ListenAnywhere(e)
	require.NotEqual(t, program.Addr, listener.Addr())
	server := listener.Accept(program.Start(e, "dial", listener.Addr()))
	require.Equal(t, "here I am", server.Receive(9))
}

func TestBuild(t *testing.T) {
	e := &lesson.Exercise{T: t}
	p := program.Build(e, "./testdata/hello").Start(e, "you")
	require.True(t, p.Ended())
	require.Equal(t, "hello you\n", strings.ReplaceAll(p.Stdout(), "\r", ""))
}

func TestProgram_MayPrintWithoutEnd(t *testing.T) {
	_, p := start(t, "flood")
	require.True(t, p.Shows(strings.Repeat("x", 1000)))
	time.Sleep(10 * time.Millisecond)
	require.LessOrEqual(t, len(p.Output()), 1<<20)
}

func TestProgram_IsGivenUpAfterASecond(t *testing.T) {
	_, p := start(t, "wait")
	begin := time.Now()
	require.False(t, p.Ended())
	require.Greater(t, time.Since(begin), time.Second-50*time.Millisecond)
}

// What a learner is told, in a process of its own.
func TestProgram_FailsInPlainWords(t *testing.T) {
	section := "docs/0-exhibit.md#1-fail"
	switch os.Getenv("EXHIBIT") {
	case "":
	case "nobody listens":
		program.Start(lesson.Start(t, section), "cat").Dial()
		return
	case "nobody listens any more":
		program.Start(lesson.Start(t, section), "panic").Dial()
		return
	case "nobody dials":
		e := lesson.Start(t, section)
		program.Listen(e).Accept(program.Start(e, "stderr"))
		return
	case "in use":
		program.Start(lesson.Start(t, section), "echo")
		return
	case "does not compile":
		program.Build(lesson.Start(t, section), "./testdata/broken")
		return
	case "a picture":
		e := lesson.Start(t, section)
		p := program.Start(e, "echo")
		client := p.Dial()
		client.Send("hello")
		require.Empty(e, client.Receive(5), "there was an answer")
		return
	}
	for name, want := range map[string][]string{
		"nobody listens":          {"nobody listens on 127.0.0.1:20000, so no client can connect, although the program is running"},
		"nobody listens any more": {"as for the program, it crashed: I cannot go on", "the program printed:"},
		"nobody dials":            {"and nobody connected; as for the program, it has ended, with exit status 0.", "to standard error"},
		"in use":                  {"127.0.0.1:20000 is in use: is your server still running in another terminal?"},
		"does not compile":        {"testdata/broken does not compile", "undefined: missing"},
		"a picture":               {": there was an answer\n", `│  ◄───────────────────────────────── "hello"  │`, "│  still running\n", "listening\n"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestProgram_FailsInPlainWords$", "-test.v")
			cmd.Env = append(os.Environ(), "EXHIBIT="+name)
			if name == "in use" {
				program.Listen(&lesson.Exercise{T: t})
				cmd.Env = append(cmd.Env, program.HasTurn+"=1")
			}
			out, err := cmd.CombinedOutput()
			if strings.Contains(string(out), "the go command is not available here") {
				t.Skip(string(out))
			}
			require.Error(t, err, "the exhibit passes")
			for _, want := range append(want, "program_test.go:", "--- FAIL", "read on: docs/0-exhibit.md#1-fail\n") {
				unwrapped := strings.ReplaceAll(string(out), "\n        ", " ")
				require.Truef(t, strings.Contains(string(out), want) || strings.Contains(unwrapped, want), "%q is not in\n%s", want, out)
			}
		})
	}
}
