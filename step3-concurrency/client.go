package echo

import (
	"io"
	"net"
)

// Run is what the client of main.go, which is the document's, does once it is connected: it sends each line of
// in to conn, and meanwhile prints what arrives to out. It owns conn, and closes it. The chapter to
// read beside it is docs/3-concurrency.md.
//
// TODO exercise 13: Print what arrives when it arrives
// TODO exercise 14: Continue after an empty line
// TODO exercise 15: Send the last line
// TODO exercise 16: Notice when the server goes away
// TODO exercise 17: Quit on q
func Run(conn net.Conn, in io.Reader, out io.Writer) error {
	return nil
}

// What main is to do, in main.go:
//
// TODO exercise 16: Notice when the server goes away
// TODO exercise 18: Say so when no server is listening
