// Package wire is a TCP connection in memory that a test scripts.
//
// A test in [Test] gets a client's or a server's end of a connection, a [Peer],
// while the code under test gets the other, a [Conn], and takes it for a TCP
// connection. What the peer sends arrives in the pieces in which the test wrote
// it: client.Send("hel", "lo") takes two Reads, client.Send("hello") one.
//
// All of it runs in a bubble of [testing/synctest], and everything that waits,
// waits durably: time passes only when nothing else can happen, a timeout takes
// no real time, and all runs are the same. Code in a busy loop is stopped, code
// that hangs shows at once, and a failed test ends with a picture of what went
// over the wire.
package wire
