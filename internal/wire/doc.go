// Package wire is a TCP connection in memory that a test scripts.
//
// In [Test], the test has one end of a connection, a [Peer]: the client's or
// the server's. The code under test has the other end, a [Conn], and takes it
// for a TCP connection. Data arrives in the pieces in which the test sent it:
// client.Send("hel", "lo") takes two Reads, client.Send("hello") one.
//
// All of it runs in a bubble of [testing/synctest], and whatever waits, waits
// durably. So time passes only when nothing else can happen, a timeout takes no
// real time, and all runs are the same. Test stops busy loops, notices at once
// when code hangs, and ends a failure with a picture of what went over the
// wire.
package wire
