//go:build race

package lesson

// RaceDetector tells whether this binary was built with -race.
const RaceDetector = true
