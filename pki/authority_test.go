package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

const day = 24 * time.Hour

// Each role gets a certificate that is good for what it does, and for nothing
// else, with a token and nothing more to begin with.
func TestEnrolEveryRole(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		id    mtls.Identity
		names []string
		usage x509.ExtKeyUsage
		life  time.Duration
	}{
		{device("x1"), nil, x509.ExtKeyUsageClientAuth, 60 * day},
		{bridge("b1"), nil, x509.ExtKeyUsageClientAuth, 30 * day},
		{broker("mq"), []string{"mq.example.com", "127.0.0.1", "::1"}, x509.ExtKeyUsageServerAuth, 30 * day},
		{mtls.Identity{Role: mtls.RoleServer, ID: "settings"}, []string{"localhost"}, x509.ExtKeyUsageServerAuth, 30 * day},
	} {
		token := w.token(c.id, pki.TokenOptions{Names: c.names})
		client, err := enroll.FromToken(t.Context(), token)
		if err != nil {
			t.Fatalf("%s: %v", c.id, err)
		}
		chain, err := client.Enroll(t.Context(), token, mtlstest.Key(t))
		if err != nil {
			t.Fatalf("%s: %v", c.id, err)
		}
		leaf := chain[0]
		if id, err := mtls.IdentityOf(leaf); err != nil || id != c.id {
			t.Errorf("%s: identity %v, %v", c.id, id, err)
		}
		if len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != c.usage || leaf.KeyUsage != x509.KeyUsageDigitalSignature || leaf.IsCA {
			t.Errorf("%s: usage %v %v, CA %v", c.id, leaf.ExtKeyUsage, leaf.KeyUsage, leaf.IsCA)
		}
		if life := leaf.NotAfter.Sub(leaf.NotBefore); life < c.life || life > c.life+2*time.Minute {
			t.Errorf("%s: lives %v, want %v", c.id, life, c.life)
		}
		var names []string
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		if names = append(slices.Clone(leaf.DNSNames), names...); !slices.Equal(names, c.names) {
			t.Errorf("%s: names %q, want %q", c.id, names, c.names)
		}
		if len(chain) != 2 || !chain[1].Equal(w.Intermediate()) {
			t.Errorf("%s: chain of %d", c.id, len(chain))
		}
		t.Logf("%s: leaf of %d bytes, token of %d", c.id, len(leaf.Raw), len(token))
	}
	assertNoSecrets(t, w)
}

// assertNoSecrets reads the whole log of an authority.
func assertNoSecrets(t *testing.T, w *world, tokens ...string) {
	t.Helper()
	log := w.log.String()
	for _, secret := range append(tokens, "PRIVATE KEY", "eyJ") { // every JWT begins with eyJ
		if secret != "" && strings.Contains(log, secret) {
			t.Errorf("the log contains %q:\n%s", secret, log)
		}
	}
}

func TestRenewKeepsEverythingButTheTime(t *testing.T) {
	w := newWorld(t, nil)
	for _, e := range []enrolled{w.enroll(device("x1")), w.enroll(broker("mq"), "mq.example.com")} {
		renewed, err := w.renew(e)
		if err != nil {
			t.Fatal(err)
		}
		old, leaf := e.leaf(), renewed.leaf()
		if leaf.SerialNumber.Cmp(old.SerialNumber) == 0 {
			t.Error("the serial number was used again")
		}
		if !slices.Equal(leaf.RawSubject, old.RawSubject) || !slices.Equal(leaf.DNSNames, old.DNSNames) ||
			leaf.URIs[0].String() != old.URIs[0].String() || !slices.Equal(leaf.ExtKeyUsage, old.ExtKeyUsage) || len(leaf.Extensions) != len(old.Extensions) {
			t.Errorf("%s changed in a renewal", leaf.Subject)
		}
	}
}

// A token of an opaque key, as in a TPM, with a request made first.
func TestBoundToken(t *testing.T) {
	w := newWorld(t, nil)
	key := struct{ signer }{mtlstest.Key(t)}
	csr, err := enroll.NewRequest(device("x1"), nil, key)
	if err != nil {
		t.Fatal(err)
	}
	token := w.token(device("x1"), pki.TokenOptions{CSR: csr})
	if _, err := w.client.EnrollRequest(t.Context(), token, csr); err != nil {
		t.Error(err)
	}
}

func TestTokenErrors(t *testing.T) {
	w := newWorld(t, nil)
	request := func(id mtls.Identity, names ...string) []byte {
		csr, err := enroll.NewRequest(id, names, mtlstest.Key(t))
		if err != nil {
			t.Fatal(err)
		}
		return csr
	}
	broken := request(device("x1"))
	broken[len(broken)-1] ^= 1
	for _, c := range []struct {
		name string
		id   mtls.Identity
		opts pki.TokenOptions
		want string
	}{
		{"bad id", device("X 1"), pki.TokenOptions{}, `"X 1"`},
		{"bad role", mtls.Identity{Role: "root", ID: "x"}, pki.TokenOptions{}, `role "root"`},
		{"device with a host", device("x1"), pki.TokenOptions{Names: []string{"a.example.com"}}, "carries no name but its identity"},
		{"broker without a host", broker("mq"), pki.TokenOptions{}, "needs a DNS name"},
		{"wildcard", broker("mq"), pki.TokenOptions{Names: []string{"*.example.com"}}, `'*'`},
		{"capitals", broker("mq"), pki.TokenOptions{Names: []string{"MQ.example.com"}}, `'M'`},
		{"a whole URL", broker("mq"), pki.TokenOptions{Names: []string{"https://mq.example.com"}}, `':'`},
		{"forever", device("x1"), pki.TokenOptions{TTL: 1000 * day}, "want up to"},
		{"in the past", device("x1"), pki.TokenOptions{TTL: -1}, "want up to"},
		{"request for another", device("x1"), pki.TokenOptions{CSR: request(device("x2"))}, `common name "x2"`},
		{"request for another role", device("x1"), pki.TokenOptions{CSR: request(bridge("x1"))}, "urn:carillon:bridge:x1"},
		{"request for more", broker("mq"), pki.TokenOptions{Names: []string{"a.example.com"}, CSR: request(broker("mq"), "b.example.com")}, `"b.example.com"`},
		{"broken request", device("x1"), pki.TokenOptions{CSR: broken}, "certificate request"},
	} {
		_, err := w.Token(c.id, c.opts)
		wantError(t, c.name, err, c.want)
	}
}

func TestProfiles(t *testing.T) {
	w := newWorld(t, func(o *pki.Options) {
		o.Profiles = map[mtls.Role]pki.Profile{mtls.RoleDevice: {Lifetime: 5 * day}}
	})
	if leaf := w.enroll(device("x1")).leaf(); leaf.NotAfter.Sub(leaf.NotBefore) > 5*day+time.Hour {
		t.Errorf("lives until %v, want 5 days", leaf.NotAfter)
	}
	for name, p := range map[string]pki.Profile{
		"too short":          {Lifetime: time.Second},
		"too long":           {Lifetime: 10 * 365 * day},
		"longer than itself": {Lifetime: 10 * day, MaxLifetime: day},
	} {
		err := pki.Init(t.TempDir(), pki.Options{URL: w.url, Profiles: map[mtls.Role]pki.Profile{mtls.RoleDevice: p}})
		wantError(t, name, err, `profile "device"`)
	}
}

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

// The authority's own certificate names its hosts and speaks TLS 1.3 only.
func TestOwnCertificate(t *testing.T) {
	w := newWorld(t, func(o *pki.Options) { o.Hosts = []string{"pki.example.com"} })
	for _, host := range []string{"pki.example.com", "127.0.0.1"} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), mtls.RequireRole(mtls.ClientConfig(w.Roots(), nil, host), mtls.RoleServer))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = conn.Close()
	}
	old := mtls.ClientConfig(w.Roots(), nil, "127.0.0.1")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if conn, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), old); err == nil {
		_ = conn.Close()
		t.Error("spoke TLS 1.2")
	}
}

// A token key that may have leaked is replaced with openssl; what was enrolled
// with it goes on, and what it signed is worth nothing.
func TestReplaceTokenKey(t *testing.T) {
	dir := t.TempDir()
	w := serve(t, dir, nil)
	e := w.enroll(device("x1"))
	leaked := w.token(device("x2"), pki.TokenOptions{})
	w.stop()

	key := mtlstest.Key(t)
	if err := (&mtls.Files{KeyFile: filepath.Join(dir, "tokens", "device.key")}).StoreKey(key); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, "tokens", "device.pub"), public, 0o600); err != nil {
		t.Fatal(err)
	}

	w = serve(t, dir, nil)
	if _, err := w.renew(e); err != nil {
		t.Errorf("renewal of what was enrolled with the old key: %v", err)
	}
	_, err = w.client.Enroll(t.Context(), leaked, mtlstest.Key(t))
	wantError(t, "token of the old key", err, "401", "not one of this authority")
	w.enroll(device("x2"))

	// The serving machine need not have the private halves at all.
	w.stop()
	if err := os.Remove(filepath.Join(dir, "tokens", "device.key")); err != nil {
		t.Fatal(err)
	}
	w = serve(t, dir, nil)
	_, err = w.Token(device("x3"), pki.TokenOptions{})
	wantError(t, "token without its key", err, "device.key")
	w.enroll(bridge("b1"))
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
