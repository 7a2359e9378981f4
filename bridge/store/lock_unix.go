//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile makes the database file if there is none, and takes the lock that
// one process holds as long as it has the database open. It is a file of its
// own, because closing any descriptor of the database file would drop SQLite's
// locks on it.
func lockFile(path string) (*os.File, error) {
	if path == "" {
		return nil, errors.New("no path given")
	}
	db, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another process has it open (it holds %q); an SQLite file serves one bridge", path+".lock")
		}
		return nil, fmt.Errorf("locking %q: %w", path+".lock", err)
	}
	return lock, nil
}
