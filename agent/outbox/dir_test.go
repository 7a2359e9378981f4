package outbox_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/agent/outbox"
)

func open(t *testing.T, path string, log *bytes.Buffer) *outbox.Dir {
	t.Helper()
	d, err := outbox.Open(path, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func load(t *testing.T, s interface {
	Load() (map[string][]byte, error)
}) map[string][]byte {
	t.Helper()
	all, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A directory and memory keep the same promises.
func TestStores(t *testing.T) {
	for name, s := range map[string]interface {
		Put(string, []byte) error
		Delete(string) error
		Load() (map[string][]byte, error)
	}{
		"dir": open(t, filepath.Join(t.TempDir(), "a", "b"), new(bytes.Buffer)), "memory": new(outbox.Memory),
	} {
		t.Run(name, func(t *testing.T) {
			if n := len(load(t, s)); n != 0 {
				t.Errorf("%d records at first", n)
			}
			value := []byte("one")
			for _, put := range []func() error{
				func() error { return s.Put("a", value) }, func() error { return s.Put("b-2", nil) },
				func() error { return s.Put("a", []byte("two\n\x00")) }, func() error { return s.Put("gone", value) },
				func() error { return s.Delete("gone") }, func() error { return s.Delete("never") },
			} {
				if err := put(); err != nil {
					t.Fatal(err)
				}
			}
			value[0] = 'X'
			all := load(t, s)
			if len(all) != 2 || string(all["a"]) != "two\n\x00" || len(all["b-2"]) != 0 {
				t.Errorf("records %q", all)
			}
			for _, bad := range []string{"", "A", "a/b", "..", "a.b", strings.Repeat("a", 65), "ä"} {
				if err := s.Put(bad, nil); err == nil {
					t.Errorf("name %q is taken", bad)
				}
			}
		})
	}
}

func TestFilesAreThePersonsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox")
	d := open(t, path, new(bytes.Buffer))
	if err := d.Put("a", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory has mode %v", info.Mode())
	}
}

// Two agents with one directory would undo each other's work.
func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox")
	d := open(t, path, new(bytes.Buffer))
	if _, err := outbox.Open(path, nil); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second one: %v", err)
	}
	d.Close()
	open(t, path, new(bytes.Buffer))
}

// Damage of any kind costs the one record, which is set aside with a word.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox")
	log := new(bytes.Buffer)
	d := open(t, path, log)
	if err := d.Put("good", []byte("record")); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(path, "good.record"))
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string][]byte{"empty": nil, "longer": append(bytes.Clone(whole), 'x'), "text": []byte("hello\nworld"), "later": bytes.Replace(whole, []byte("record 1"), []byte("record 2"), 1)}
	for i := range whole {
		cut, flipped := bytes.Clone(whole[:i]), bytes.Clone(whole)
		flipped[i] ^= 1
		damages["cut"+string(rune('a'+i%26))+strings.Repeat("a", i/26)] = cut
		damages["flipped"+string(rune('a'+i%26))+strings.Repeat("a", i/26)] = flipped
	}
	for name, data := range damages {
		if err := os.WriteFile(filepath.Join(path, name+".record"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(path, ".good.record.123"), []byte("half a rec"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := load(t, d)
	if len(all) != 1 || string(all["good"]) != "record" {
		t.Errorf("records %q", all)
	}
	if n := strings.Count(log.String(), "damaged"); n < len(damages) {
		t.Errorf("%d of %d damages are logged", n, len(damages))
	}
	left, err := filepath.Glob(filepath.Join(path, "*.damaged"))
	if err != nil || len(left) != len(damages) {
		t.Errorf("%d of %d are set aside", len(left), len(damages))
	}
	if _, err := os.Stat(filepath.Join(path, ".good.record.123")); err == nil {
		t.Error("what a crash left half written is still there")
	}
	log.Reset()
	if load(t, d); log.Len() != 0 {
		t.Errorf("a second start says: %s", log)
	}
}

func TestTooLarge(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "outbox"), new(bytes.Buffer))
	if err := d.Put("a", make([]byte, 1<<20+1)); err == nil {
		t.Error("a megabyte and one is taken")
	}
	if err := d.Put("a", make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
	if n := len(load(t, d)["a"]); n != 1<<20 {
		t.Errorf("%d bytes are read", n)
	}
}
