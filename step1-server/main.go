// A TCP echo server: it answers each message with the same message.
// The chapter to read beside it is docs/1-server.md.
package main

import "net"

// process serves one client until that client leaves. conn is the connection
// with it, and belongs to process.
//
// TODO exercise 2: Echo a message
// TODO exercise 3: Echo every message
// TODO exercise 4: Echo only what was sent
// TODO exercise 5: Echo any bytes unchanged
// TODO exercise 6: Show what it received
// TODO exercise 7: Close the connection when a client leaves
// TODO exercise 9: Survive a client that vanishes
func process(conn net.Conn) {
}

// main listens on 127.0.0.1:20000 and has process serve each client that
// connects.
//
// TODO exercise 1: Listen on port 20000
// TODO exercise 2: Echo a message
// TODO exercise 8: Serve two clients at once
// TODO exercise 10: Report that the port is taken
func main() {
}
