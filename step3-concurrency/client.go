package echo

import (
	"io"
	"net"
)

// Run is what the client does once it's connected: it sends each line of in to
// conn, and meanwhile prints what arrives to out. It owns conn, and closes it
// before it returns. Read docs/3-concurrency.md beside it.
//
// TODO exercise 13: Print what arrives when it arrives
// TODO exercise 14: Continue after an empty line
// TODO exercise 15: Send the last line
// TODO exercise 16: Notice when the server goes away
// TODO exercise 17: Quit on q
func Run(conn net.Conn, in io.Reader, out io.Writer) error {
	return nil
}

// In cmd/client/main.go, main connects and calls Run:
//
// TODO exercise 16: Notice when the server goes away
// TODO exercise 18: Report that no server is listening
