package main

// This is the client of step 3, finished. Here it learns to keep messages whole, with your package
// frame. The chapter to read beside it is docs/4-framing.md.
//
// TODO exercise 20: Send each line as one frame
// TODO exercise 21: Print each answer whole
// TODO exercise 22: Work together
