package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
)

// Backup writes a copy of the database to a new file, with mode 0600, as it is
// at one instant. It may be called while a bridge works on it, also from another
// process.
func (d SQLite) Backup(ctx context.Context, to string) (err error) {
	db, err := d.connect(url.Values{"mode": {"rw"}})
	if err != nil {
		return err
	}
	defer db.Close()
	file, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, os.Remove(to))
		}
	}()
	if _, err := db.ExecContext(ctx, "VACUUM INTO $1", to); err != nil {
		return fmt.Errorf("copying %q: %w", d.Path, err)
	}
	// SQLite does not wait for the disk here.
	if err := file.Sync(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
