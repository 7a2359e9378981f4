//go:build !linux

package pgtest

import (
	"errors"
	"os/exec"
)

// A process is a server's first process. Only Linux tells its children, which
// have to die with it.
type process struct{ ended chan struct{} }

func startProcess(*exec.Cmd) (*process, error) {
	return nil, errors.New("throw-away servers are run on Linux only")
}

func (*process) kill() {}

func asOwner(*exec.Cmd) error { return nil }

func giveAway(string) error { return nil }
