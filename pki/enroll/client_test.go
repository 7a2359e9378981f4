package enroll_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// opaque is a key that cannot leave its place, as in a TPM.
type opaque struct{ key crypto.Signer }

func (o opaque) Public() crypto.PublicKey { return o.key.Public() }
func (o opaque) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return o.key.Sign(r, digest, opts)
}

func bubble(t *testing.T, f func(t *testing.T, a *authority)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newAuthority(t)) })
}

func wantError(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: error %q does not say %q", what, err, w)
		}
	}
}

func TestRoot(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		c := a.client()
		c.Roots = nil // nothing is trusted yet
		for _, f := range []string{a.fingerprint(), strings.ToUpper(a.fingerprint())} {
			if root, err := c.Root(t.Context(), f); err != nil || !root.Equal(a.Root) {
				t.Errorf("Root(%s) = %v, %v", f, root, err)
			}
		}
		for _, f := range []string{"", "00", a.fingerprint() + "00", strings.Repeat("g", 64)} {
			_, err := c.Root(t.Context(), f)
			wantError(t, "malformed fingerprint "+f, err, "64 hex digits")
		}
		stranger := mtlstest.New(t).Root.Raw
		a.mu.Lock()
		a.rawRoot = stranger
		a.mu.Unlock()
		_, err := c.Root(t.Context(), a.fingerprint())
		wantError(t, "root of another", err, "another authority")
		a.answer(func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]string{}) })
		_, err = c.Root(t.Context(), a.fingerprint())
		wantError(t, "no root", err, "contains none")
	})
}

func TestEnroll(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		key := opaque{mtlstest.Key(t)}
		token := a.token("x1", map[string]any{"sans": []string{"urn:carillon:device:x1", "x1.example.com", "192.0.2.1"}})
		chain, err := a.client().Enroll(t.Context(), token+"\n", key)
		if err != nil {
			t.Fatal(err)
		}
		if len(chain) != 2 || !chain[0].PublicKey.(*ecdsa.PublicKey).Equal(key.Public()) {
			t.Errorf("chain of %d for another key", len(chain))
		}
		csr := a.asked()
		if csr.Subject.CommonName != "x1" || len(csr.URIs) != 1 || csr.URIs[0].String() != "urn:carillon:device:x1" ||
			len(csr.DNSNames) != 1 || csr.DNSNames[0] != "x1.example.com" ||
			len(csr.IPAddresses) != 1 || !csr.IPAddresses[0].Equal(net.IPv4(192, 0, 2, 1)) {
			t.Errorf("the request asks for %v %v %v %v", csr.Subject, csr.URIs, csr.DNSNames, csr.IPAddresses)
		}
		if a.tokens[0] != token {
			t.Errorf("the token was changed on its way")
		}

		// A token without names is for its subject.
		if _, err := a.client().Enroll(t.Context(), a.token("x2", map[string]any{"sans": nil}), key); err != nil {
			t.Fatal(err)
		}
		if csr := a.asked(); len(csr.DNSNames) != 1 || csr.DNSNames[0] != "x2" {
			t.Errorf("the request asks for %v, want the subject", csr.DNSNames)
		}
	})
}

func TestEnrollBoundToken(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		key := mtlstest.Key(t)
		csr, err := enroll.NewRequest(mtls.Identity{Role: mtls.RoleDevice, ID: "x1"}, nil, key)
		if err != nil {
			t.Fatal(err)
		}
		bound := a.token("x1", map[string]any{"cnf": map[string]string{"x5rt#S256": "abc"}})
		_, err = a.client().Enroll(t.Context(), bound, key)
		wantError(t, "bound token with a new request", err, "bound to a certificate request")
		if n := a.called("/sign"); n != 0 {
			t.Errorf("the token was spent in %d hopeless calls", n)
		}
		if _, err := a.client().EnrollRequest(t.Context(), bound, csr); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(a.asked().Raw, csr) {
			t.Error("the request was changed on its way")
		}
		_, err = enroll.NewRequest(mtls.Identity{Role: mtls.RoleDevice, ID: "X 1"}, nil, key)
		wantError(t, "request for a bad id", err, `"X 1"`)
	})
}

// What comes back is not believed because it comes back.
func TestEnrollRefusesAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		key := mtlstest.Key(t)
		stranger := mtlstest.New(t)
		x1 := mtlstest.Leaf{Identity: mtls.Identity{Role: mtls.RoleDevice, ID: "x1"}, Key: key}
		for _, c := range []struct {
			name   string
			want   []string
			status int // of the StatusError, 0 for another error
			answer http.HandlerFunc
		}{
			{"another key", []string{"another key"}, 0, func(w http.ResponseWriter, _ *http.Request) { replyChain(w, a.Device("x1")) }},
			{"another authority", []string{"certificate received", "unknown authority"}, 0, func(w http.ResponseWriter, _ *http.Request) { replyChain(w, stranger.Issue(x1)) }},
			{"nothing", []string{"no certificate"}, 0, func(w http.ResponseWriter, _ *http.Request) { reply(w, 201, map[string]any{}) }},
			{"not a certificate", []string{"not what an authority sends"}, 0, func(w http.ResponseWriter, _ *http.Request) { reply(w, 201, map[string]any{"crt": "x"}) }},
			{"a page", []string{"https://pki.example.com:9000/sign", "not what an authority sends"}, 0, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }},
			{"endless", []string{"larger than 262144 bytes"}, 0, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.Copy(w, io.LimitReader(zeros{}, 1<<20))
			}},
			{"refused", []string{"401 Unauthorized", "token already used"}, 401, func(w http.ResponseWriter, _ *http.Request) {
				reply(w, 401, map[string]any{"status": 401, "message": "token already used"})
			}},
			{"long message", []string{"403 Forbidden", "…"}, 403, func(w http.ResponseWriter, _ *http.Request) {
				reply(w, 403, map[string]any{"message": strings.Repeat("no ", 1000)})
			}},
			{"page of a proxy", []string{"502 Bad Gateway", `"text/html"`}, 502, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				w.WriteHeader(502)
				_, _ = io.WriteString(w, "<html><script>")
			}},
			{"text", []string{"429", `"slow down\n\x1b[31m"`}, 429, func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "slow down\n\x1b[31m", http.StatusTooManyRequests)
			}},
			{"redirect", []string{"307", "not followed", "elsewhere"}, 307, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://elsewhere.example.com/sign", http.StatusTemporaryRedirect)
			}},
		} {
			a.answer(c.answer)
			before := a.called("/sign")
			_, err := a.client().Enroll(t.Context(), a.token("x1", nil), key)
			wantError(t, c.name, err, append(c.want, `"x1"`)...)
			var refused *enroll.StatusError
			if errors.As(err, &refused) != (c.status != 0) || (refused != nil && refused.Status != c.status) {
				t.Errorf("%s: %#v, want the status %d", c.name, refused, c.status)
			}
			if err != nil && len(err.Error()) > 600 {
				t.Errorf("%s: an error of %d bytes", c.name, len(err.Error()))
			}
			if n := a.called("/sign") - before; n != 1 {
				t.Errorf("%s: %d calls, want 1", c.name, n)
			}
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		a.answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		start := time.Now()
		_, err := a.client().CRL(t.Context())
		wantError(t, "silent authority", err, "deadline")
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("gave up after %v, want 30s", d)
		}
	})
}

func TestUnreachable(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		c := a.client()
		c.Roots = mtlstest.New(t).Roots()
		_, err := c.CRL(t.Context())
		wantError(t, "impostor", err, "revocation list", "unknown authority")
		c = a.client()
		c.Roots = nil
		_, err = c.Enroll(t.Context(), a.token("x1", nil), mtlstest.Key(t))
		wantError(t, "no roots", err, "unknown authority")
		for _, u := range []string{"", "pki.example.com:9000", "http://pki.example.com", "https://u:p@pki.example.com", "https://pki.example.com/?x", "https://%zz"} {
			c := a.client()
			c.URL = u
			_, err := c.CRL(t.Context())
			wantError(t, u, err, "address of the authority")
		}
	})
}

func TestRenew(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		key := opaque{mtlstest.Key(t)}
		c := a.client()
		chain, err := c.Enroll(t.Context(), a.token("x1", nil), key)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * 24 * time.Hour)
		renewed, err := c.Renew(t.Context(), chain, key)
		if err != nil {
			t.Fatal(err)
		}
		if got := renewed[0].NotAfter.Sub(chain[0].NotAfter); got < 29*24*time.Hour {
			t.Errorf("renewed for %v more, want 30 days", got)
		}
		_, err = c.Renew(t.Context(), chain, mtlstest.Key(t))
		wantError(t, "another key", err, "does not belong")
		_, err = c.Renew(t.Context(), nil, key)
		wantError(t, "no chain", err, "no certificate")
		a.answer(func(w http.ResponseWriter, _ *http.Request) {
			replyChain(w, a.Issue(mtlstest.Leaf{Identity: mtls.Identity{Role: mtls.RoleDevice, ID: "x2"}, Key: publicKey{key.Public()}}))
		})
		_, err = c.Renew(t.Context(), chain, key)
		wantError(t, "another subject", err, "CN=x2")
		// TLS does not say why a certificate is refused, so this does.
		time.Sleep(90 * 24 * time.Hour)
		a.setDown(true)
		_, err = c.Renew(t.Context(), chain, key)
		wantError(t, "expired", err, "which expired on "+chain[0].NotAfter.UTC().Format(time.DateTime))
	})
}

// The authority's certificate was issued after this device's clock stopped.
func TestSlowClock(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		c := a.client()
		c.Clock = func() time.Time { return time.Unix(0, 0) }
		if _, err := c.Enroll(t.Context(), a.token("x1", nil), mtlstest.Key(t)); err != nil {
			t.Error(err)
		}
	})
}

func TestFromTokenAndProvision(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		dir := t.TempDir()
		two := &mtls.Files{CertFile: filepath.Join(dir, "d.crt"), KeyFile: filepath.Join(dir, "d.key")}
		one := &mtls.Files{CertFile: filepath.Join(dir, "d.pem"), KeyFile: filepath.Join(dir, "d.pem")}
		held := &mtls.Files{CertFile: filepath.Join(dir, "tpm.crt"), Key: opaque{mtlstest.Key(t)}}
		c := a.client()
		for _, f := range []*mtls.Files{two, one, held} {
			_, err := c.Provision(t.Context(), f, "")
			wantError(t, "no token", err, f.CertFile, "no token")

			// The authority is down at the first attempt, so that the key is
			// there at the second.
			a.setDown(true)
			_, err = c.Provision(t.Context(), f, a.token("x1", nil))
			wantError(t, "authority down", err, "connection refused")
			a.setDown(false)
			key, err := f.LoadKey()
			if err != nil {
				t.Fatalf("%s: the key did not survive: %v", f.CertFile, err)
			}
			cert, err := c.Provision(t.Context(), f, a.token("x1", nil))
			if err != nil {
				t.Fatal(err)
			}
			if !cert.Leaf.PublicKey.(*ecdsa.PublicKey).Equal(key.Public()) {
				t.Errorf("%s: a second key was made", f.CertFile)
			}
			calls := a.called("/sign")
			again, err := c.Provision(t.Context(), f, "")
			if err != nil || !again.Leaf.Equal(cert.Leaf) || a.called("/sign") != calls {
				t.Errorf("%s: enrolled again: %v", f.CertFile, err)
			}
		}
		if err := os.WriteFile(two.CertFile, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := c.Provision(t.Context(), two, a.token("x1", nil))
		wantError(t, "damaged file", err, two.CertFile)
		if data, _ := os.ReadFile(two.CertFile); string(data) != "precious" {
			t.Error("a damaged certificate file was overwritten")
		}
	})
}

func TestFromTokenIncomplete(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		for _, missing := range []string{"sha", "aud"} {
			_, err := enroll.FromToken(t.Context(), a.token("x1", map[string]any{missing: nil}))
			wantError(t, "token without "+missing, err, "names no authority")
		}
		_, err := enroll.FromToken(t.Context(), "a.b")
		wantError(t, "no token", err, "2 parts")
	})
}

func TestTransport(t *testing.T) {
	ca := mtlstest.New(t)
	c := &enroll.Client{URL: "https://pki.example.com", Roots: ca.Roots(), Transport: handler(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(ca.CRL())
	})}
	der, err := c.CRL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil || list.CheckSignatureFrom(ca.Intermediate) != nil {
		t.Errorf("not the list of the authority: %v", err)
	}
}

// handler is a RoundTripper that calls itself.
type handler http.HandlerFunc

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := &recorder{header: make(http.Header), status: 200}
	h(rec, r)
	return &http.Response{StatusCode: rec.status, Header: rec.header, Body: io.NopCloser(&rec.body), Request: r}, nil
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
