//go:build !unix

package store

import (
	"errors"
	"os"
)

// lockFile needs flock(2): without it two processes could use one file, and
// ring the same phones.
func lockFile(string) (*os.File, error) {
	return nil, errors.New("an SQLite file can be locked on Unix only")
}
