package main

// This is the server of step 3, finished. Here it learns to keep messages whole, with your package
// frame. The chapter to read beside it is docs/4-framing.md.
//
// TODO exercise 13: Answer every frame whole
// TODO exercise 14: Answer a thousand frames
// TODO exercise 15: Answer a pipeline in few writes
// TODO exercise 16: End a connection that breaks the protocol
// TODO exercise 17: Give a slow sender idle timeout for a whole frame
// TODO exercise 18: Log each message whole
// TODO exercise 19: Still stop gently
