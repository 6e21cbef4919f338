//go:build race

package fml

// The race detector makes sync.Pool forget on purpose.
const raceEnabled = true
