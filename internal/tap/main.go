// Tap sits between a client and a server, and draws what passes, live.
//
//	go run ./internal/tap
//
// It listens on 127.0.0.1:20000, where this course's clients dial. It dials
// 127.0.0.1:20001, where your server must listen. Its flags make it an unkind
// network. Ctrl-C ends it.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
)

func main() {
	var tap Tap
	listen := flag.String("listen", "127.0.0.1:20000", "listen for clients on this `address`")
	dial := flag.String("dial", "127.0.0.1:20001", "dial the server at this `address`")
	flag.IntVar(&tap.Cut, "cut", 0, "forward at most `n` bytes at a time")
	flag.DurationVar(&tap.Glue, "glue", 0,
		"forward what arrives within this `time`, such as 50ms, as one piece")
	flag.DurationVar(&tap.Delay, "delay", 0, "delay everything by this `time`")
	flag.Int64Var(&tap.ResetAfter, "reset-after", 0,
		"forward `n` bytes in total, then reset both connections")
	flag.Parse()
	if flag.NArg() > 0 || tap.Cut < 0 || tap.Glue < 0 || tap.Delay < 0 || tap.ResetAfter < 0 {
		fmt.Fprintln(os.Stderr, "tap: takes only flags, and no negative values")
		flag.Usage()
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &tap, *listen, *dial); err != nil {
		fmt.Fprintln(os.Stderr, "tap:", err)
		os.Exit(1)
	}
}

// run listens and serves until ctx is done, then returns nil.
func run(ctx context.Context, tap *Tap, listen, dial string) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("The tap listens on %s and dials %s. Ctrl-C ends it.\n", ln.Addr(), dial)
	tap.Out = os.Stdout
	tap.Dial = func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", dial)
		if err != nil {
			return nil, fmt.Errorf("%w (is your server running, with -addr %s?)", err, dial)
		}
		return conn, nil
	}
	return tap.Serve(ctx, ln)
}
