//go:build !race

package gm

// raceEnabled tells tests with many slow steps to take fewer.
const raceEnabled = false
