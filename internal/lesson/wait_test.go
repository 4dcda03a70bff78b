package lesson

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReasonToWait(t *testing.T) {
	stack := func(state, calls, file string) string {
		return "goroutine 7 [" + state + ", synctest bubble 1]:\n" + calls +
			"\nexample.com/tcp-steps/step3-concurrency.(*Server).f(...)" +
			"\n\t/x/step3-concurrency/" + file + " +0x45\n\n"
	}
	// The test's own goroutine doesn't count.
	test := stack("sleep (durable)", "time.Sleep(0x1)\n\t/go/time.go:1 +0x1", "server_test.go:5")
	lock := stack("sync.Mutex.Lock", "sync.(*Mutex).Lock(...)\n\t/go/mutex.go:1 +0x1",
		"server.go:31")
	writes := stack("sync.Cond.Wait (durable)",
		"example.com/tcp-steps/internal/wire.(*Conn).Write(0x1)\n\t/x/internal/wire/conn.go:1 +0x1",
		"server.go:40")
	accepts := stack("IO wait", "net.(*TCPListener).Accept(0x1)\n\t/go/tcpsock.go:1 +0x1",
		"server.go:12")
	polls := stack("sleep (durable)", "time.Sleep(0x1)\n\t/go/time.go:1 +0x1", "server.go:50")

	require.Equal(t,
		"it's in a busy loop, waits for a lock, or waits for a channel made at package level",
		reasonToWait(test))
	require.Equal(t, "it waits at server.go:31 for a lock that's still held",
		reasonToWait(test+lock))
	require.Contains(t, reasonToWait(lock+writes),
		"it waits for a lock at server.go:31. Another goroutine, which may hold that lock, "+
			"waits in Write at server.go:40")
	require.Equal(t,
		"it waits at server.go:12 for a real network connection or listener, "+
			"not for the one it was given",
		reasonToWait(test+accepts))
	require.Equal(t, "it polls in a loop, with a Sleep at server.go:50", reasonToWait(test+polls))
}

// The goroutine that holds up the bubble's clock is the cause. A goroutine that
// sleeps meanwhile isn't, unless it's the one that runs now and then.
func TestReasonToWait_LeavesOutSleepingGoroutines(t *testing.T) {
	const sleeps = `goroutine 7 [sleep (durable), synctest bubble 1]:
time.Sleep(0x1)
	/go/time.go:1 +0x1
example.com/tcp-steps/step3-concurrency.hangUp(...)
	/x/step3-concurrency/server.go:201 +0x1

`
	const runs = `goroutine 9 [running, synctest bubble 1]:
example.com/tcp-steps/step3-concurrency.(*Server).Shutdown(...)
	/x/step3-concurrency/server.go:80 +0x1

`
	const waits = `goroutine 9 [chan receive, synctest bubble 1]:
example.com/tcp-steps/step3-concurrency.(*Server).Shutdown(...)
	/x/step3-concurrency/server.go:80 +0x1

`
	require.Equal(t, "it's in a busy loop at server.go:80",
		reasonToWait(sleeps+runs, sleeps+runs))
	require.Equal(t, "it polls in a loop, with a Sleep at server.go:201",
		reasonToWait(sleeps, strings.ReplaceAll(runs, "9", "7")))
	require.Equal(t, "it waits at server.go:80 for a channel, a WaitGroup or a Cond",
		reasonToWait(sleeps+waits))
}

func TestReasonToWait_NamesBothLoops(t *testing.T) {
	const spins = `goroutine 9 [running, synctest bubble 1]:
example.com/tcp-steps/step3-concurrency.(*Server).Clients(...)
	/x/step3-concurrency/server.go:120 +0x1
example.com/tcp-steps/step3-concurrency.(*Server).Shutdown(...)
	/x/step3-concurrency/server.go:80 +0x1
created by example.com/tcp-steps/step3-concurrency.(*Server).stop in goroutine 5
	/x/step3-concurrency/server.go:60 +0x1
`
	require.Equal(t, "it's in a busy loop at server.go:120, called at server.go:80",
		reasonToWait(spins))
	alone, _, _ := strings.Cut(spins, "example.com/tcp-steps/step3-concurrency.(*Server).Shutdown")
	require.Equal(t, "it's in a busy loop at server.go:120", reasonToWait(alone))
}

func TestPanicking(t *testing.T) {
	const panics = `goroutine 9 [sync.Cond.Wait (durable), synctest bubble 1]:
example.com/tcp-steps/internal/wire.(*Conn).Read(...)
	/x/internal/wire/conn.go:1 +0x1
example.com/tcp-steps/step3-concurrency.hangUp(...)
	/x/step3-concurrency/server.go:201 +0x1
panic({0x1, 0x2})
	/go/src/runtime/panic.go:1 +0x1
example.com/tcp-steps/step3-concurrency.(*Server).process(...)
	/x/step3-concurrency/process.go:31 +0x1
`
	require.Equal(t, "process.go:31", panicking(panics))
	require.Empty(t, panicking(strings.ReplaceAll(panics, "\npanic(", "\nmain.f(")))
}

func TestFirstMessage(t *testing.T) {
	require.Equal(t, "One, two.", firstMessage("=== RUN   Test01_A\n    a_test.go:7: One,\n"+
		"        two.\n\n        three\n--- FAIL: Test01_A (0.00s)\n"))
	require.Equal(t, "the program crashed: send on closed channel",
		firstMessage("=== RUN   Test01_A\npanic: send on closed channel\n\n"+
			"goroutine 7 [running]:\nmain.main()\n"))
	require.Equal(t, "exit status 3", firstMessage("=== RUN   Test01_A\nexit status 3\n"))
}
