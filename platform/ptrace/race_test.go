//go:build race

package ptrace

const raceDetector = true
