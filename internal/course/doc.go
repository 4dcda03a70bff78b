// Package course proves the course. It holds only tests:
//
//   - each starter compiles, and every exercise in it is red, in its own words;
//   - each solution is green under its step's own tests, and so is the work in
//     testdata/right/, which is right in another way;
//   - each mistake in mistakes/ is caught by exactly the exercises that it
//     names, up to the last of them, with the words that it promises;
//   - docs/mistakes/ shows what the mistakes say;
//   - the first two solutions are the document's listings, token by token;
//   - each step starts with what the steps before it ended with;
//   - the chapters are true: links lead somewhere, each exercise has its
//     section, a console block shows what its command prints, and the third
//     hints, pasted in order, turn the step green;
//   - the tap draws what the pages show, and the programs of the last page
//     pass their tests.
//
// A proof that fails says which file to change. After a change of a test or of
// its words,
//
//	go test ./internal/course -run Chapters -update
//
// from the workspace's top folder runs the chapters' commands again and writes
// down what they print now; with -run Mistakes it makes docs/mistakes/ again.
// -short leaves out the mistakes, the hints and the tap. On demand alone: -load
// puts the solutions under load, -assertions removes each assertion of the
// exercises and looks for a mistake that gets through, and -endless puts code
// without end into each function that a learner writes, in all ways.
package course
