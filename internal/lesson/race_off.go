//go:build !race

package lesson

// RaceDetector reports whether this binary was built with -race.
const RaceDetector = false
