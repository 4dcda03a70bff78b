// A TCP client: it sends the lines that are typed, and shows the answers.
// The chapter to read beside it is docs/2-client.md.
package main

// main connects to 127.0.0.1:20000, sends each line that it reads from the
// standard input, and prints what comes back.
//
// TODO exercise 1: Dial port 20000
// TODO exercise 2: Send what is typed
// TODO exercise 3: Show the answer
// TODO exercise 4: Send line after line
// TODO exercise 5: Quit on q
// TODO exercise 6: Exit when the server goes away
// TODO exercise 7: Report that no server is listening
func main() {
}
