package mtls_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// opaque is a key that cannot leave its place, as in a TPM.
type opaque struct{ key crypto.Signer }

func (o opaque) Public() crypto.PublicKey { return o.key.Public() }
func (o opaque) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return o.key.Sign(r, digest, opts)
}

func newFiles(t *testing.T) *mtls.Files {
	t.Helper()
	dir := t.TempDir()
	return &mtls.Files{CertFile: filepath.Join(dir, "device.crt"), KeyFile: filepath.Join(dir, "device.key")}
}

func chainOf(t *testing.T, c *tls.Certificate) []*x509.Certificate {
	t.Helper()
	var chain []*x509.Certificate
	for _, der := range c.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	return chain
}

func signerOf(c *tls.Certificate) crypto.Signer { return c.PrivateKey.(crypto.Signer) }

func store(t *testing.T, f *mtls.Files, c *tls.Certificate) {
	t.Helper()
	if err := f.Store(signerOf(c), chainOf(t, c)); err != nil {
		t.Fatal(err)
	}
}

func TestFilesStoreAndLoad(t *testing.T) {
	ca := mtlstest.New(t)
	two := newFiles(t)
	one := newFiles(t)
	one.KeyFile = one.CertFile
	for _, f := range []*mtls.Files{two, one} {
		want := ca.Device("x1")
		store(t, f, want)
		got, err := f.Load()
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Certificate) != 2 || !got.Leaf.Equal(want.Leaf) || !signerOf(want).Public().(*ecdsa.PublicKey).Equal(signerOf(got).Public()) {
			t.Errorf("%s: loaded another pair than was stored", f.CertFile)
		}
		// A renewal keeps the key.
		renewed := ca.Issue(mtlstest.Leaf{Identity: mtls.Identity{Role: mtls.RoleDevice, ID: "x1"}, Key: signerOf(want)})
		if err := f.Store(nil, chainOf(t, renewed)); err != nil {
			t.Fatal(err)
		}
		if got, err = f.Load(); err != nil || !got.Leaf.Equal(renewed.Leaf) {
			t.Errorf("after a renewal: %v, %v", got, err)
		}
		entries, err := os.ReadDir(filepath.Dir(f.CertFile))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v, want 0600 (%v)", e.Name(), info.Mode(), err)
			}
			if strings.HasPrefix(e.Name(), ".") {
				t.Errorf("temporary file %s left behind", e.Name())
			}
		}
	}
}

func TestFilesOpaqueKey(t *testing.T) {
	ca := mtlstest.New(t)
	f := newFiles(t)
	f.Key = opaque{mtlstest.Key(t)}
	cert := ca.Issue(mtlstest.Leaf{Identity: mtls.Identity{Role: mtls.RoleDevice, ID: "x1"}, Key: f.Key})
	store(t, f, cert)
	if _, err := os.Stat(f.KeyFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key file was written for a key that cannot be written: %v", err)
	}
	loaded, err := f.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	server := mtls.ServerConfig(ca.Roots(), mtls.Fixed(ca.Broker(host)), nil)
	if _, cerr, serr := handshake(mtls.ClientConfig(ca.Roots(), mtls.Fixed(loaded), host), server); cerr != nil || serr != nil {
		t.Errorf("handshake with an opaque key: %v, %v", cerr, serr)
	}
	f.Key = nil
	if err := f.Store(opaque{mtlstest.Key(t)}, chainOf(t, cert)); err == nil {
		t.Error("stored a certificate beside a key that is not its own")
	}
	if err := f.StoreKey(opaque{mtlstest.Key(t)}); err == nil || !strings.Contains(err.Error(), "Files.Key") {
		t.Errorf("StoreKey of an opaque key: %v, want a hint at Files.Key", err)
	}
}

func TestFilesKeyFirst(t *testing.T) {
	ca := mtlstest.New(t)
	f := newFiles(t)
	if _, err := f.LoadKey(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("LoadKey before there is one: %v, want ErrNotExist", err)
	}
	key := mtlstest.Key(t)
	if err := f.StoreKey(key); err != nil {
		t.Fatal(err)
	}
	again, err := f.LoadKey()
	if err != nil || !again.Public().(*ecdsa.PublicKey).Equal(key.Public()) {
		t.Fatalf("LoadKey: %v", err)
	}
	if _, err := f.Load(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load without a certificate: %v, want ErrNotExist", err)
	}
	cert := ca.Issue(mtlstest.Leaf{Identity: mtls.Identity{Role: mtls.RoleDevice, ID: "x1"}, Key: again})
	if err := f.Store(nil, chainOf(t, cert)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(); err != nil {
		t.Fatal(err)
	}
}

func TestFilesErrors(t *testing.T) {
	ca := mtlstest.New(t)
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	garbled := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	for _, c := range []struct {
		name  string
		spoil func(f *mtls.Files) error
		want  []string
	}{
		{"no certificate file", func(f *mtls.Files) error { return os.Remove(f.CertFile) }, []string{"device.crt", "no such file"}},
		{"no key file", func(f *mtls.Files) error { return os.Remove(f.KeyFile) }, []string{"device.key", "no such file"}},
		{"empty certificate file", func(f *mtls.Files) error { return os.Truncate(f.CertFile, 0) }, []string{"device.crt", "no certificate", "no PEM block"}},
		{"files exchanged", func(f *mtls.Files) error { return os.Rename(f.KeyFile, f.CertFile) }, []string{"device.crt", `found "PRIVATE KEY"`}},
		{"encrypted key", func(f *mtls.Files) error { return os.WriteFile(f.KeyFile, encrypted, 0o600) }, []string{"device.key", "encrypted"}},
		{"garbled certificate", func(f *mtls.Files) error { return os.WriteFile(f.CertFile, garbled, 0o600) }, []string{"device.crt", "certificate 1"}},
		{"enormous file", func(f *mtls.Files) error { return os.Truncate(f.CertFile, 2<<20) }, []string{"device.crt", "larger than"}},
		{"key of another", func(f *mtls.Files) error { return f.StoreKey(mtlstest.Key(t)) }, []string{"device.crt", "device.key", "does not belong"}},
		{"no name", func(f *mtls.Files) error { f.CertFile = ""; return nil }, []string{"no file name"}},
	} {
		f := newFiles(t)
		store(t, f, ca.Device("x1"))
		if err := c.spoil(f); err != nil {
			t.Fatal(err)
		}
		_, err := f.Load()
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %q", c.name, err, w)
			}
		}
	}
}

func TestFilesReload(t *testing.T) {
	ca := mtlstest.New(t)
	f := newFiles(t)
	var log bytes.Buffer
	f.Logger = slog.New(slog.NewTextHandler(&log, nil))

	if _, err := f.Certificate(); err == nil {
		t.Fatal("a certificate out of nothing")
	}
	is := func(want *x509.Certificate) {
		t.Helper()
		got, err := f.Certificate()
		if err != nil || !got.Leaf.Equal(want) {
			t.Fatalf("Certificate() = %v, %v, want serial %v", got, err, want.SerialNumber)
		}
	}
	first, second, third := ca.Device("x1"), ca.Device("x1"), ca.Device("x1")
	store(t, f, first)
	is(first.Leaf)
	store(t, f, second)
	is(second.Leaf)

	// An operator's half-done copy does not take the device down, and is
	// reported once.
	if err := os.WriteFile(f.CertFile, []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	is(second.Leaf)
	is(second.Leaf)
	if n := strings.Count(log.String(), "cannot reload"); n != 1 {
		t.Errorf("%d complaints, want 1:\n%s", n, &log)
	}
	if err := os.Remove(f.CertFile); err != nil {
		t.Fatal(err)
	}
	is(second.Leaf)
	store(t, f, third)
	is(third.Leaf)
}

// Readers never see half a file, however often it is replaced.
func TestFilesConcurrently(t *testing.T) {
	ca := mtlstest.New(t)
	f := newFiles(t)
	f.KeyFile = f.CertFile
	certs := []*tls.Certificate{ca.Device("x1"), ca.Device("x1")}
	store(t, f, certs[0])
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			other := &mtls.Files{CertFile: f.CertFile, KeyFile: f.KeyFile} // as another process would
			for range 100 {
				if _, err := other.Load(); err != nil {
					t.Errorf("Load: %v", err)
				}
				if _, err := f.Certificate(); err != nil {
					t.Errorf("Certificate: %v", err)
				}
			}
		})
	}
	for i := range 40 {
		store(t, f, certs[i%2])
	}
	wg.Wait()
}

func TestWriteFileKeepsTheOldOneOnFailure(t *testing.T) {
	name := filepath.Join(t.TempDir(), "no-such-folder", "file")
	if err := mtls.WriteFile(name, nil); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("WriteFile: %v, want an error naming %s", err, name)
	}
	// A folder in the place of the file: the rename fails, nothing is left.
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "f"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := mtls.WriteFile(filepath.Join(dir, "f"), []byte("x")); err == nil {
		t.Error("replaced a folder")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left %d files behind", len(entries)-1)
	}
}
