package cmd

import (
	"runtime/debug"
	"testing"
)

// The operator's word counts.
func TestCollectSeldom(t *testing.T) {
	was := debug.SetGCPercent(77)
	defer debug.SetGCPercent(was)
	t.Setenv("GOGC", "77")
	collectSeldom()
	if got := debug.SetGCPercent(77); got != 77 {
		t.Errorf("GOGC=77 became %d", got)
	}
	t.Setenv("GOGC", "")
	collectSeldom()
	if got := debug.SetGCPercent(77); got != gcPercent {
		t.Errorf("without GOGC it is %d, want %d", got, gcPercent)
	}
}
