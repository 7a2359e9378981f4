package pki_test

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "authority")
	opts := pki.Options{URL: "https://pki.example.com:9000", Name: "Example"}
	if err := pki.Init(dir, opts); err != nil {
		t.Fatal(err)
	}
	if err := pki.Init(dir, opts); !errors.Is(err, pki.ErrExists) {
		t.Errorf("second Init: %v, want ErrExists", err)
	}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if want := os.FileMode(0o600); err != nil || (!d.IsDir() && info.Mode().Perm() != want) || (d.IsDir() && info.Mode().Perm() != 0o700) {
			t.Errorf("%s has mode %v (%v)", name, info.Mode(), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "thesis.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	wantError(t, "somebody's directory", pki.Init(other, opts), "thesis.txt")
	if entries, _ := os.ReadDir(other); len(entries) != 1 {
		t.Error("Init wrote into somebody's directory")
	}
	for _, u := range []string{"", "http://pki.example.com", "pki.example.com:9000", "https://pki.example.com/ca", "https://Pki Example"} {
		wantError(t, "url "+u, pki.Init(filepath.Join(t.TempDir(), "x"), pki.Options{URL: u}))
	}
}

func TestOpenErrors(t *testing.T) {
	w := newWorld(t, nil)
	w.stop()
	_, err := pki.Open(pki.Config{Dir: t.TempDir()})
	if !errors.Is(err, pki.ErrNoAuthority) {
		t.Errorf("empty directory: %v, want ErrNoAuthority", err)
	}
	spoil := func(file string, change func(name string) error) error {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(w.dir)); err != nil {
			t.Fatal(err)
		}
		if err := change(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		a, err := pki.Open(pki.Config{Dir: dir})
		if err == nil {
			_ = a.Close()
		}
		return err
	}
	key := &mtls.Files{}
	wantError(t, "no intermediate key", spoil("intermediate.key", os.Remove), "intermediate.key", "HSM")
	wantError(t, "key of another", spoil("intermediate.key", func(name string) error {
		key.KeyFile = name
		return key.StoreKey(mtlstest.Key(t))
	}), "intermediate.key", "not that of intermediate.crt")
	wantError(t, "root of another", spoil("root.crt", func(name string) error {
		files := &mtls.Files{CertFile: name, Key: mtlstest.Key(t)}
		ca := mtlstest.New(t)
		c := ca.Issue(mtlstest.Leaf{Identity: device("x1"), Key: files.Key})
		return files.Store(nil, []*x509.Certificate{c.Leaf})
	}), "intermediate.crt was not signed by root.crt")
	wantError(t, "misspelled setting", spoil("authority.json", func(name string) error {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(name, []byte(strings.Replace(string(data), `"lifetime"`, `"livetime"`, 1)), 0o600)
	}), "authority.json", "livetime")
	wantError(t, "one key for two roles", spoil("tokens", func(name string) error {
		data, err := os.ReadFile(filepath.Join(name, "device.pub"))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(name, "bridge.pub"), data, 0o600)
	}), "same token key")
}

func TestPassword(t *testing.T) {
	t.Parallel() // it waits for its slow part
	dir := t.TempDir()
	password := []byte("correct horse")
	w := serve(t, dir, func(o *pki.Options) { o.Password = password })
	w.enroll(device("x1"))
	w.stop()
	for _, file := range []string{"root.key", "intermediate.key", "tokens/device.key"} {
		if data, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !strings.Contains(string(data), "ENCRYPTED") {
			t.Errorf("%s is not encrypted (%v)", file, err)
		}
	}
	for _, wrong := range []string{"", "incorrect"} {
		_, err := pki.Open(pki.Config{Dir: dir, Password: []byte(wrong)})
		wantError(t, "password "+wrong, err, "intermediate.key", "password")
		_, err = pki.OpenTokens(dir, []byte(wrong))
		wantError(t, "password "+wrong, err, ".key", "password")
	}
	if _, err := pki.OpenTokens(dir, password); err != nil {
		t.Error(err)
	}
}

// The intermediate's key and the root may live elsewhere.
func TestKeysElsewhere(t *testing.T) {
	corporate := mtlstest.Key(t)
	dir := t.TempDir()
	hsm := struct{ signer }{mtlstest.Key(t)}
	opts := pki.Options{URL: "https://pki.example.com", Root: selfSigned(t, corporate), RootKey: struct{ signer }{corporate}}
	a, err := pki.Open(pki.Config{Dir: dir, Create: &opts, IntermediateKey: hsm})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, file := range []string{"root.key", "intermediate.key"} {
		if _, err := os.Stat(filepath.Join(dir, file)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was written: %v", file, err)
		}
	}
	chain, err := a.Issue(pki.IssueRequest{Identity: device("x1"), PublicKey: mtlstest.Key(t).Public()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots: mtls.Pool(opts.Root), Intermediates: mtls.Pool(chain[1]), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		t.Error(err)
	}
	if err := pki.Init(t.TempDir(), pki.Options{URL: "https://pki.example.com", Root: opts.Root, RootKey: mtlstest.Key(t)}); err == nil {
		t.Error("a root signed with a key that is not its own")
	}
}

// After a restart tokens from before are good, used ones are used, and holders
// are known.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	w := serve(t, dir, nil)
	e := w.enroll(device("x1"))
	used, fresh := w.token(device("x2"), pki.TokenOptions{}), w.token(device("x3"), pki.TokenOptions{})
	if _, err := w.client.Enroll(t.Context(), used, mtlstest.Key(t)); err != nil {
		t.Fatal(err)
	}
	fingerprint := w.RootFingerprint()
	w.stop()
	if _, err := w.client.CRL(t.Context()); err == nil {
		t.Error("still serving after Run has returned")
	}

	w = serve(t, dir, nil)
	if w.RootFingerprint() != fingerprint {
		t.Fatal("another authority after a restart")
	}
	_, err := w.client.Enroll(t.Context(), used, mtlstest.Key(t))
	wantError(t, "used token after a restart", err, "401", "already been used")
	if _, err := w.client.Enroll(t.Context(), fresh, mtlstest.Key(t)); err != nil {
		t.Errorf("token from before the restart: %v", err)
	}
	if _, err := w.renew(e); err != nil {
		t.Errorf("renewal after a restart: %v", err)
	}
}

func TestOneProcessOnly(t *testing.T) {
	t.Parallel() // it waits for its slow part
	w := newWorld(t, nil)
	_, err := pki.Open(pki.Config{Dir: w.dir})
	wantError(t, "second authority in one directory", err, "authority.db")
	if !errors.Is(err, pki.ErrInUse) {
		t.Errorf("%v is not ErrInUse", err)
	}
}

// A back-up that is older than a certificate: the certificate lives on, and can
// be revoked by its holder's name.
func TestRestoreAnOldBackup(t *testing.T) {
	dir := t.TempDir()
	w := serve(t, dir, nil)
	old := w.enroll(device("x1"))
	w.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	w = serve(t, dir, nil)
	newer := w.enroll(device("x2"))
	last := w.relying()
	if err := last.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.stop()

	time.Sleep(time.Until(last.Status().ThisUpdate.Add(time.Second))) // lists have whole seconds
	w = serve(t, backup, nil)
	renewed, err := w.renew(newer)
	if err != nil {
		t.Fatalf("certificate from after the back-up: %v", err)
	}
	if _, err := w.Revoke(t.Context(), device("x2"), pki.ReasonUnspecified, ""); err != nil {
		t.Fatal(err)
	}
	w.wantRevoked("after the restore", []enrolled{renewed}, []enrolled{old})
	_, err = w.renew(newer)
	wantError(t, "unknown certificate of a revoked holder", err, "401", "has been revoked")
}
