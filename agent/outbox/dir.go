// Package outbox keeps what a device must not lose: its open requests, its
// sessions, what to restore.
//
// [Dir] is a directory with one file per record. Each file is replaced in one
// step and durably, so that a kill, or a loss of power, leaves the old record
// or the new one, never half of either. A file that is damaged all the same is
// set aside and logged, and the rest is used.
//
// [Entry] is the record of one open request.
package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/carillon-iot/carillon/pki/mtls"
)

const (
	suffix    = ".record"
	aside     = ".damaged"
	lockName  = "lock"
	maxName   = 64
	maxRecord = 1 << 20
)

// Dir is a directory of records. It may be used concurrently for different
// names.
type Dir struct {
	path string
	log  *slog.Logger
	lock *os.File // held until Close; flock
}

// Open makes the directory (0700) if it is missing, and locks it: a second
// process with the same directory would undo the first one's work. A nil
// logger means slog.Default().
func Open(path string, log *slog.Logger) (*Dir, error) {
	if log == nil {
		log = slog.Default()
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("outbox: %q is in use by another process: %w", path, err)
	}
	return &Dir{path, log, lock}, nil
}

// Close lets another process open the directory.
func (d *Dir) Close() error { return d.lock.Close() }

// Put replaces a record. After it has returned nil, a loss of power does not
// bring the old one back.
func (d *Dir) Put(name string, data []byte) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(data) > maxRecord {
		return fmt.Errorf("outbox: record %q of %d bytes, limit %d", name, len(data), maxRecord)
	}
	if err := mtls.WriteFile(d.file(name), frame(data)); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// Delete forgets a record, durably. It is no error if there is none.
func (d *Dir) Delete(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	err := os.Remove(d.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = d.sync()
	}
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// Load returns every record. A damaged file is renamed to *.damaged and
// logged; what a crash left half written is removed.
func (d *Dir) Load() (map[string][]byte, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	records := map[string][]byte{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		switch {
		case strings.HasPrefix(e.Name(), ".") && strings.Contains(e.Name(), suffix+"."):
			os.Remove(filepath.Join(d.path, e.Name())) // never renamed, so never a record
		case ok && checkName(name) == nil:
			data, err := d.read(name)
			if err != nil {
				d.setAside(name, err)
				continue
			}
			records[name] = data
		}
	}
	return records, nil
}

func (d *Dir) read(name string) ([]byte, error) {
	f, err := os.Open(d.file(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord+maxHeader+1))
	if err != nil {
		return nil, err
	}
	return unframe(data)
}

func (d *Dir) setAside(name string, cause error) {
	to := filepath.Join(d.path, name+aside)
	err := os.Rename(d.file(name), to)
	d.log.Error("a record is damaged and is left out", "record", name, "error", cause, "set_aside", to, "rename_error", err)
}

func (d *Dir) sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (d *Dir) file(name string) string { return filepath.Join(d.path, name+suffix) }

func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("outbox: record name %.80q has %d characters, want 1 to %d", name, len(name), maxName)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("outbox: record name %q contains %q, want only a-z, 0-9 and '-'", name, c)
		}
	}
	return nil
}

// A record's file begins with a line that says what it is, which version of
// this layout, and the CRC-32C and length of the rest.
const (
	headerStart = "carillon-record 1 "
	maxHeader   = 48
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func frame(data []byte) []byte {
	return append([]byte(header(data)), data...)
}

func header(data []byte) string {
	return fmt.Sprintf("%s%08x %d\n", headerStart, crc32.Checksum(data, castagnoli), len(data))
}

// unframe returns the record in a file, if it is whole.
func unframe(file []byte) ([]byte, error) {
	i := bytes.IndexByte(file, '\n')
	if i < 0 || i >= maxHeader || !strings.HasPrefix(string(file[:i]), headerStart) {
		return nil, fmt.Errorf("does not begin with %q: not a record, or of another version", headerStart)
	}
	data := file[i+1:]
	if want := header(data); string(file[:i+1]) != want {
		return nil, fmt.Errorf("the header is %q, the %d bytes after it call for %q", file[:i], len(data), strings.TrimSpace(want))
	}
	return data, nil
}
