//go:build !race

package fml

const raceEnabled = false
