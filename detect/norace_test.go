//go:build !race

package detect

// raceEnabled says that everything takes ten times as long.
const raceEnabled = false
