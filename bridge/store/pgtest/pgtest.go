// Package pgtest starts throw-away PostgreSQL servers, for tests and for
// measurements on one machine.
//
// It runs the programs that are installed, as an ordinary user (PostgreSQL
// refuses root), in a directory of its own, on a free port of the loopback
// interface, and prints nothing. A server is a primary; [Server.Replica] adds a
// streaming replica of it. [Server.Kill] is kill -9 of all its processes.
//
// A server ends with the process that has started it, however that ends (on
// Linux).
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// ErrMissing says that no PostgreSQL server is installed.
var ErrMissing = errors.New("pgtest: PostgreSQL is not installed: no initdb below /usr/lib/postgresql or in PATH")

// Config says what a server is like. The zero Config will do.
type Config struct {
	// Fsync has the server wait for the disk, as a real one must. Without it what
	// the server says is stored survives its processes, but not the machine.
	Fsync bool
	// Settings are further settings of postgresql.conf.
	Settings map[string]string
}

// find returns the directory of the server's programs: of the newest that
// Debian's packages have installed, or else the one in PATH.
func find() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", fmt.Errorf("pgtest: %w", err)
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return release(a) - release(b) })), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", ErrMissing
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", fmt.Errorf("pgtest: %w", err)
	}
	return filepath.Dir(path), nil
}

// release is the 15 of /usr/lib/postgresql/15/bin/initdb.
func release(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return n
}

// TB is what of a *testing.T is used, so that programs which are no tests do not
// link package testing.
type TB interface {
	Helper()
	Cleanup(func())
	Skip(args ...any)
	Fatal(args ...any)
}

// New starts a server that ends with the test. Where PostgreSQL is not installed
// the test is skipped, or fails under CARILLON_INTEROP=1.
func New(t TB, cfg Config) *Server {
	t.Helper()
	s, err := Start(context.Background(), cfg)
	Check(t, err)
	t.Cleanup(s.Stop)
	return s
}

// Check ends a test that has got err instead of a server: see New.
func Check(t TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, ErrMissing) && os.Getenv("CARILLON_INTEROP") != "1":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}
