package pki_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// What a stranger, a thief of a token or a thief of a token key may try.
func TestForgedTokens(t *testing.T) {
	w := newWorld(t, nil)
	stolen := w.tokenKey("device")
	stranger := mtlstest.Key(t)
	cn := x509.CertificateRequest{Subject: pkix.Name{CommonName: "x1"}}
	csr := request(t, cn, mtlstest.Key(t))
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }

	if status, cert, message := w.sign(w.forge(stolen, nil), csr, nil); status != 201 || cert == nil {
		t.Fatalf("a good token was refused, so nothing below means anything: %d %s", status, message)
	}
	noneAlg := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"`+thumbprint(t, stolen.Public())+`"}`)) +
		"." + strings.Split(w.forge(stolen, nil), ".")[1] + "."
	good := w.forge(stolen, nil)
	for _, c := range []struct {
		name, token, want string
	}{
		{"no token", "", "no token"},
		{"no signature", noneAlg, "not a JWT signed with ES256"},
		{"another signature", good[:strings.LastIndex(good, ".")+1] + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), "signature is wrong"},
		{"foreign key", w.forge(stranger, nil), "not one of this authority"},
		{"foreign key under our name", w.forge(stranger, map[string]any{"kid": thumbprint(t, stolen.Public())}), "signature is wrong"},
		{"role of another key", w.forge(stolen, map[string]any{"iss": "bridge", "sans": nil}), `issued by "bridge" with the key of "device"`},
		{"role of another key, named so", w.forge(stolen, map[string]any{"iss": "bridge", "kid": thumbprint(t, w.tokenKey("bridge").Public())}), "signature is wrong"},
		{"expired", w.forge(stolen, map[string]any{"exp": at(-2 * time.Minute), "nbf": at(-time.Hour)}), "the token expired on"},
		{"never expires", w.forge(stolen, map[string]any{"exp": nil}), "never expires"},
		{"expires next century", w.forge(stolen, map[string]any{"exp": at(100 * 365 * day)}), "want at most"},
		{"from the future", w.forge(stolen, map[string]any{"nbf": at(time.Hour)}), "not valid before"},
		{"without an id", w.forge(stolen, map[string]any{"jti": nil}), "no id (jti)"},
		{"for another authority", w.forge(stolen, map[string]any{"aud": "https://other.example.com/1.0/sign"}), "other.example.com"},
		{"for another call", w.forge(stolen, map[string]any{"aud": w.url + "/1.0/revoke"}), "not to sign"},
		{"for step-ca of old", w.forge(stolen, map[string]any{"aud": "step-certificate-authority"}), "not to sign"},
		{"another role's URI", w.forge(stolen, map[string]any{"sans": []string{"urn:carillon:device:x1", "urn:carillon:bridge:x1"}}), "carries no name but its identity"},
		{"a host for a device", w.forge(stolen, map[string]any{"sans": []string{"broker.example.com"}}), "broker.example.com"},
		{"an id that is a topic", w.forge(stolen, map[string]any{"sub": "x1/up", "sans": nil}), `"x1/up"`},
		{"an id that is a filter", w.forge(stolen, map[string]any{"sub": "+", "sans": nil}), `"+"`},
		{"an id that breaks out of the template", w.forge(stolen, map[string]any{"sub": `x1"}, "basicConstraints": {"isCA": true`, "sans": nil}), "basicConstraints"},
		{"no subject", w.forge(stolen, map[string]any{"sub": "", "sans": nil}), "has 0 characters"},
	} {
		status, cert, message := w.sign(c.token, csr, nil)
		if cert != nil || status < 400 || status >= 500 || !strings.Contains(message, c.want) {
			t.Errorf("%s: %d %q, certificate %v, want a refusal with %q", c.name, status, message, cert != nil, c.want)
		}
		if c.token != "" && strings.Contains(message, c.token) {
			t.Errorf("%s: the answer repeats the token", c.name)
		}
	}
	assertNoSecrets(t, w, good)
}

// A request has no say in what the certificate will contain.
func TestGreedyRequests(t *testing.T) {
	w := newWorld(t, nil)
	key := mtlstest.Key(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	mail := x509.CertificateRequest{Subject: pkix.Name{CommonName: "x1"}, EmailAddresses: []string{"anna@example.com"}}
	for _, c := range []struct {
		name, want string
		csr        []byte
	}{
		{"another common name", `common name "x2"`, request(t, x509.CertificateRequest{Subject: pkix.Name{CommonName: "x2"}}, key)},
		{"an extra URI", "urn:carillon:bridge:x1", request(t, x509.CertificateRequest{URIs: []*url.URL{device("x1").URI(), bridge("x1").URI()}}, key)},
		{"another device's URI", "urn:carillon:device:x2", request(t, x509.CertificateRequest{URIs: []*url.URL{device("x2").URI()}}, key)},
		{"an extra host", "broker.example.com", request(t, x509.CertificateRequest{DNSNames: []string{"broker.example.com"}}, key)},
		{"an extra address", "127.0.0.1", request(t, x509.CertificateRequest{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, key)},
		{"a mail address", "anna@example.com", request(t, mail, key)},
		{"a key that messages cannot be signed with", "P-384", request(t, x509.CertificateRequest{}, p384)},
		{"an RSA key", "RSA key of 1024 bits", request(t, x509.CertificateRequest{}, rsaKey)},
		{"no request", "certificate request", []byte("x")},
	} {
		token := w.token(device("x1"), pki.TokenOptions{})
		status, cert, message := w.sign(token, c.csr, nil)
		if cert != nil || status < 400 || status >= 500 || !strings.Contains(message, c.want) {
			t.Errorf("%s: %d %q, certificate %v, want a refusal with %q", c.name, status, message, cert != nil, c.want)
		}
		// The honest owner of the token is not punished for it.
		if status, _, message := w.sign(token, request(t, x509.CertificateRequest{}, key), nil); status != 201 {
			t.Errorf("%s: the token was used up: %d %s", c.name, status, message)
		}
	}
}

// Extensions that a request asks for are not even looked at.
func TestRequestedExtensions(t *testing.T) {
	w := newWorld(t, nil)
	csr := request(t, x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "x1", Organization: []string{"Evil"}},
		ExtraExtensions: []pkix.Extension{
			{Id: []int{2, 5, 29, 37}, Value: []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 1}},  // serverAuth
			{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}},       // a CA
			{Id: []int{1, 3, 6, 1, 4, 1, 37476, 9000, 64, 1}, Value: []byte{0x30, 0x03, 0x02, 0x01, 99}}, // step's provisioner
		},
	}, mtlstest.Key(t))
	status, cert, message := w.sign(w.token(device("x1"), pki.TokenOptions{}), csr, nil)
	if status != 201 {
		t.Fatalf("%d %s", status, message)
	}
	if cert.IsCA || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth ||
		len(cert.Subject.Organization) != 0 || len(cert.DNSNames) != 0 {
		t.Errorf("the request had its way: CA %v, usage %v, subject %v, hosts %v", cert.IsCA, cert.ExtKeyUsage, cert.Subject, cert.DNSNames)
	}
	for _, e := range cert.Extensions {
		if e.Id.String() == "1.3.6.1.4.1.37476.9000.64.1" {
			t.Error("the request put its own provisioner in the certificate")
		}
	}
}

func TestTimesAskedFor(t *testing.T) {
	w := newWorld(t, nil)
	csr := request(t, x509.CertificateRequest{}, mtlstest.Key(t))
	for name, more := range map[string]map[string]any{
		"too long":           {"notAfter": "2400h"},
		"next year":          {"notBefore": "8760h", "notAfter": "8761h"},
		"yesterday":          {"notBefore": "-24h"},
		"ended before begun": {"notBefore": "1m", "notAfter": "30s"},
	} {
		status, cert, message := w.sign(w.token(device("x1"), pki.TokenOptions{}), csr, more)
		if cert != nil || status < 400 || status >= 500 {
			t.Errorf("%s: %d %s", name, status, message)
		}
	}
	status, cert, message := w.sign(w.token(device("x1"), pki.TokenOptions{}), csr, map[string]any{"notAfter": "2h"})
	if status != 201 || time.Until(cert.NotAfter) > 2*time.Hour {
		t.Errorf("a shorter life was refused: %d %s", status, message)
	}
}

func TestTokenIsUsedOnce(t *testing.T) {
	w := newWorld(t, nil)
	token := w.token(device("x1"), pki.TokenOptions{})
	var issued atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		csr := request(t, x509.CertificateRequest{}, mtlstest.Key(t))
		wg.Go(func() {
			if status, cert, _ := w.sign(token, csr, nil); status == 201 && cert != nil {
				issued.Add(1)
			}
		})
	}
	wg.Wait()
	if n := issued.Load(); n != 1 {
		t.Errorf("%d certificates for one token", n)
	}
	status, _, message := w.sign(token, request(t, x509.CertificateRequest{}, mtlstest.Key(t)), nil)
	if status != 401 || !strings.Contains(message, "already been used") {
		t.Errorf("used token: %d %s", status, message)
	}
}

// A token that was stolen on its way is of no use without the key.
func TestBoundTokenStolen(t *testing.T) {
	w := newWorld(t, nil)
	csr, err := enroll.NewRequest(device("x1"), nil, mtlstest.Key(t))
	if err != nil {
		t.Fatal(err)
	}
	token := w.token(device("x1"), pki.TokenOptions{CSR: csr})
	status, cert, message := w.sign(token, request(t, x509.CertificateRequest{}, mtlstest.Key(t)), nil)
	if cert != nil || status != 403 || !strings.Contains(message, "bound to another certificate request") {
		t.Errorf("thief: %d %s", status, message)
	}
	if status, _, message := w.sign(token, csr, nil); status != 201 {
		t.Errorf("owner, after the thief: %d %s", status, message)
	}
}

func TestRenewIsNotForEverybody(t *testing.T) {
	w := newWorld(t, nil)
	other := newWorld(t, nil)
	e := w.enroll(device("x1"))
	bearer := w.forge(w.tokenKey("device"), map[string]any{"aud": w.url + "/1.0/renew"})
	for _, c := range []struct {
		name, want string
		cert       *tls.Certificate
	}{
		{"nobody", "no client certificate", nil},
		{"another authority's device", "", other.enroll(device("x1")).tls(t)},
		{"the certificate without its key", "", &tls.Certificate{Certificate: e.tls(t).Certificate, PrivateKey: mtlstest.Key(t)}},
		{"a stranger's certificate for the same device", "", mtlstest.New(t).Device("x1")},
	} {
		status, answer := w.post("/renew", map[string]string{"ott": bearer}, c.cert)
		if status == 201 || answer["crt"] != nil || !strings.Contains(fmt.Sprint(answer["message"]), c.want) {
			t.Errorf("%s: %d %v", c.name, status, answer)
		}
	}
	if status, answer := w.post("/rekey", map[string]string{}, e.tls(t)); status != http.StatusNotFound || answer["message"] != "this authority has no call POST /rekey" {
		t.Errorf("/rekey: %d %v, want 404", status, answer)
	}
}

// A factory that makes devices, or whoever stole its key, makes no device that a
// broker could take for a bridge.
func TestNamesakes(t *testing.T) {
	w := newWorld(t, nil)
	b1, x1 := w.enroll(bridge("b1")), w.enroll(device("x1"))
	for _, c := range []struct{ id, owner mtls.Identity }{{device("b1"), bridge("b1")}, {bridge("x1"), device("x1")}} {
		want := "the id is taken by " + c.owner.String()
		token := w.token(c.id, pki.TokenOptions{})
		for range 2 { // which does not use up the token
			_, err := w.client.Enroll(t.Context(), token, mtlstest.Key(t))
			wantError(t, c.id.String(), err, "403", want)
		}
		_, err := w.Issue(pki.IssueRequest{Identity: c.id, PublicKey: mtlstest.Key(t).Public()})
		wantError(t, c.id.String(), err, want)
	}
	// Revoked is not gone: it may stand in a broker's rules still.
	mustRenew(t, w, x1)
	if _, err := w.Revoke(t.Context(), bridge("b1"), pki.ReasonCessation, ""); err != nil {
		t.Fatal(err)
	}
	_, err := w.client.Enroll(t.Context(), w.token(device("b1"), pki.TokenOptions{}), mtlstest.Key(t))
	wantError(t, "id of a revoked bridge", err, "403")

	// Both in one batch, and both at once: one at most.
	both := func(id string) []pki.IssueRequest {
		return []pki.IssueRequest{{Identity: device(id), PublicKey: b1.key.Public()}, {Identity: bridge(id), PublicKey: b1.key.Public()}}
	}
	_, err = w.IssueAll(both("y"))
	wantError(t, "a batch of namesakes", err, "the id is taken by")
	for i := range 20 {
		var wg sync.WaitGroup
		var made atomic.Int32
		for _, req := range both(fmt.Sprintf("z%d", i)) {
			wg.Go(func() {
				if _, err := w.Issue(req); err == nil {
					made.Add(1)
				}
			})
		}
		if wg.Wait(); made.Load() != 1 {
			t.Errorf("%d certificates for two namesakes at once, want 1", made.Load())
		}
	}
}

func TestOversizedCall(t *testing.T) {
	w := newWorld(t, nil)
	status, answer := w.post("/sign", map[string]string{"csr": strings.Repeat("x", 1<<20)}, nil)
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %v", status, answer)
	}
	for _, body := range []any{nil, 7, "x", []int{1}, map[string]any{"ott": 7}} {
		if status, answer := w.post("/sign", body, nil); status != http.StatusBadRequest {
			t.Errorf("%v: %d %v", body, status, answer)
		}
	}
}

// An expired certificate can be renewed for as long as its profile says, by
// whoever has the key.
func TestRenewExpired(t *testing.T) {
	w := newWorld(t, func(o *pki.Options) {
		o.Profiles = map[mtls.Role]pki.Profile{
			mtls.RoleDevice: {Lifetime: time.Minute, RenewExpired: time.Hour},
			mtls.RoleBridge: {Lifetime: time.Minute},
		}
	})
	issue := func(id mtls.Identity) enrolled {
		key := mtlstest.Key(t)
		chain, err := w.Issue(pki.IssueRequest{Identity: id, PublicKey: key.Public()})
		if err != nil {
			t.Fatal(err)
		}
		return enrolled{chain, key}
	}
	x1, b1 := issue(device("x1")), issue(bridge("b1"))
	ended := x1.leaf().NotAfter
	for _, c := range []struct {
		who  enrolled
		at   time.Time
		want bool
	}{
		{x1, ended.Add(-time.Second), true},
		{x1, ended.Add(59 * time.Minute), true},
		{x1, ended.Add(61 * time.Minute), false},
		{b1, ended.Add(-time.Second), true},
		{b1, ended.Add(2 * time.Second), false},
	} {
		if err := w.VerifyHolder(c.who.chain, c.at); (err == nil) != c.want {
			t.Errorf("%s at %v after its end: %v, want accepted %v", c.who.leaf().Subject, c.at.Sub(ended), err, c.want)
		}
	}
}
