package echo

// This package is step 3, finished. Here its server and its client learn to
// keep messages whole, with your package frame. docs/4-framing.md is the
// chapter for it.
//
// The server, in process.go:
//
// TODO exercise 13: Answer every frame whole
// TODO exercise 14: Answer a thousand frames
// TODO exercise 15: Answer a pipeline in few writes
// TODO exercise 16: Close a connection that breaks the protocol
// TODO exercise 17: Limit the time for a whole frame
// TODO exercise 18: Log each message whole
// TODO exercise 19: Still shut down gracefully
//
// The client, in client.go:
//
// TODO exercise 20: Send each line as one frame
// TODO exercise 21: Print each answer whole
// TODO exercise 22: Run client and server together
