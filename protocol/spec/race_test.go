//go:build race

package spec

// raceFactor is how much less tests do under the race detector.
const raceFactor = 10
