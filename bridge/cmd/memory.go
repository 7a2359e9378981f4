package cmd

import (
	"os"
	"runtime/debug"
)

// gcPercent is how much garbage may gather before it is collected, as GOGC says it.
// What lives in a bridge is small, whatever it waits for, so with Go's default of
// 100 it would collect many times a second, for a fifth of its processor time.
const gcPercent = 400

// collectSeldom sets gcPercent, unless GOGC is set. GOMEMLIMIT bounds the memory
// all the same: near the limit Go collects more often.
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
