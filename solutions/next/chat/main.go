// A chat on the frames of step 4. With -addr it's a server for step 4's client,
// which needs no change: it prints what arrives when it arrives. Without -addr
// it shows what happens to a member that reads nothing.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"example.com/tcp-steps/solutions/step4-framing/frame"
)

func main() {
	addr := flag.String("addr", "", "the `address` to listen on")
	flag.Parse()
	var err error
	if *addr != "" {
		err = listenAndServe(*addr)
	} else {
		err = demo(os.Stdout)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func listenAndServe(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	var room Room
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil { // out of descriptors, for example: see step 3, exercise 4
			log.Print(err)
			time.Sleep(time.Second)
			continue
		}
		go room.Serve(conn)
	}
}

// demo has three members: Ann talks, Bob listens, and Carol says that she's
// here and then reads nothing. Their connections are pipes, which hold no
// bytes, so Carol falls behind soon. On TCP, the kernels would first hold some
// megabytes for her.
func demo(out io.Writer) error {
	var room Room
	ann := join(&room)
	if err := say(ann, "Ann is here", ann); err != nil {
		return err
	}
	bob := join(&room)
	if err := say(bob, "Bob is here", ann, bob); err != nil {
		return err
	}
	carol := join(&room)
	if err := say(carol, "Carol is here", ann, bob); err != nil {
		return err
	}
	fmt.Fprintln(out, "members:", room.Len())
	for i := range 100 {
		if err := say(ann, fmt.Sprintf("message %d", i+1), ann, bob); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "Ann and Bob have 100 messages. Members:", room.Len())
	return nil
}

// A person is the client's end of a member's connection.
type person struct {
	in  *frame.Reader
	out *frame.Writer
}

func join(room *Room) person {
	client, server := net.Pipe()
	go room.Serve(server)
	return person{frame.NewReader(client, maxMessage), frame.NewWriter(client, maxMessage)}
}

// say sends text, and returns when the listeners have it.
func say(p person, text string, listeners ...person) error {
	if err := p.out.WriteFrame([]byte(text)); err != nil {
		return err
	}
	if err := p.out.Flush(); err != nil {
		return err
	}
	for _, listener := range listeners {
		message, err := listener.in.ReadFrame()
		if err != nil {
			return err
		}
		if string(message) != text {
			return fmt.Errorf("%q has arrived as %q", text, message)
		}
	}
	return nil
}
