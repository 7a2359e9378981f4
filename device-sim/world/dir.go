package world

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// makeDir makes the directory and, where nobody else hears the log, its file.
func (w *World) makeDir() error {
	w.dir = w.cfg.Dir
	if w.dir == "" {
		var err error
		if w.dir, err = os.MkdirTemp("", "carillon-world-"); err != nil {
			return err
		}
		w.remove = true
	}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("directory %q is not empty: it holds %q", w.dir, entries[0].Name())
	}
	if w.cfg.Logger != nil {
		return nil
	}
	if w.log, err = os.Create(filepath.Join(w.dir, "world.log")); err != nil {
		return err
	}
	w.cfg.Logger = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return nil
}

// path names something in the directory.
func (w *World) path(name string) string { return filepath.Join(w.dir, name) }
