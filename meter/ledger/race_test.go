//go:build race

package ledger

// raceDetector makes everything some ten times slower.
const raceDetector = true
