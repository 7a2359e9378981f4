package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
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
