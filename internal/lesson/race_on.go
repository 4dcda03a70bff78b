//go:build race

package lesson

// raceDetector tells that this binary was built with -race.
const raceDetector = true
