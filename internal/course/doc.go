// Package course proves the course. It holds only tests, which prove these
// facts:
//
//   - Each starter compiles, and every exercise in it is red, in its own words.
//   - Each solution is green under its step's own tests. So is the work in
//     testdata/right/, which is right in another way.
//   - Exactly the exercises that a mistake in mistakes/ names catch it, up to
//     the last of them, with the words that it promises.
//   - The pages in docs/mistakes show what the exercises say about mistakes.
//   - The first two solutions are the document's listings, token by token.
//   - Each step starts with what the steps before it ended with.
//   - The chapters are true. Links lead somewhere, each exercise has its
//     section, and a console block shows what its command prints. The third
//     hints, pasted in order, turn the step green.
//   - The tap draws what the pages show.
//   - The programs of the last page pass their tests.
//
// A proof that fails says which file to change. After a change of a test or its
// words, run this from the workspace's top folder:
//
//	go test ./internal/course -run Chapters -update
//
// It runs the chapters' commands again and updates their output there. With
// -run Mistakes it makes docs/mistakes/ anew. -short leaves out the mistakes,
// the hints and the tap.
//
// Some proofs run only on demand. -load puts the solutions under load.
// -assertions removes each assertion of the exercises and looks for a mistake
// that gets through. -endless puts endless code into each function that a
// learner writes, in every way it knows.
package course
