// Package course proves the course. It holds no code but tests:
//
//   - each starter compiles, and every exercise in it is red, in its own words;
//   - each solution is green under its step's own tests;
//   - each mistake in mistakes/ is caught by just the exercises that it names, up to the last of them,
//     with the words that it promises, and the work in testdata/right/, which is built
//     otherwise than the solutions, is not;
//   - docs/mistakes has the pages that the mistakes make;
//   - the first two solutions are the document's listings, token by token;
//   - what a step gives to begin with is what the steps before it have come to;
//   - the chapters are true: their links lead somewhere, each exercise has its section,
//     and what stands in a console block is what the command prints.
//
// A proof that fails says which file to change. After a change of a test or of
// its words,
//
//	go test ./internal/course -run Chapters -update
//
// from the workspace's top folder runs the commands of the chapters again and
// writes down what they print now; with -run Mistakes it makes docs/mistakes
// anew. The flag -short leaves out the mistakes. Two proofs run on demand
// alone: -load puts the solutions under load, and -assertions removes each
// assertion of the exercises and looks for a mistake that gets through.
package course
