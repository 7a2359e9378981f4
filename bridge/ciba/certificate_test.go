package ciba_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// newCertificate mints a self-signed certificate whose key shows nothing but
// crypto.Signer.
func newCertificate(t testing.TB, notAfter time.Time) *tls.Certificate {
	t.Helper()
	return mint(t, "till-7", notAfter)
}

func newCertificateFor(t testing.TB, name string) *tls.Certificate {
	t.Helper()
	return mint(t, name, tomorrow())
}

func mint(t testing.TB, name string, notAfter time.Time) *tls.Certificate {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Example"}},
		DNSNames:     []string{name + ".example.com"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     notAfter,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: opaqueKey{key}}
}

func tomorrow() time.Time { return time.Now().Add(24 * time.Hour) }

// mtlsProvider serves op twice: plainly, and below MTLSBase for clients with a
// certificate. The HTTP client trusts both.
func mtlsProvider(t *testing.T, op *cibatest.Provider, config *tls.Config) *http.Client {
	t.Helper()
	mtls := httptest.NewUnstartedServer(op)
	mtls.TLS = config
	mtls.Config.ErrorLog = log.New(io.Discard, "", 0)
	mtls.StartTLS()
	t.Cleanup(mtls.Close)
	op.MTLSBase = mtls.URL
	_, hc := server(t, op, nil)
	hc.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(mtls.Certificate())
	return hc
}

func isCertificate(cert *atomic.Pointer[tls.Certificate]) func(*x509.Certificate) bool {
	return func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, cert.Load().Certificate[0]) }
}

func TestMutualTLS(t *testing.T) {
	for _, auth := range []ciba.Authenticator{ciba.TLSClientAuth(), ciba.SelfSignedTLSClientAuth()} {
		t.Run(auth.Method(), func(t *testing.T) {
			var registered atomic.Pointer[tls.Certificate]
			registered.Store(newCertificate(t, tomorrow()))
			op := quick()
			op.ClientCertificate = isCertificate(&registered)
			// A server may name authorities that did not issue the certificate.
			foreign := x509.NewCertPool()
			foreign.AddCert(must(x509.ParseCertificate(newCertificate(t, tomorrow()).Certificate[0])))
			hc := mtlsProvider(t, op, &tls.Config{ClientAuth: tls.RequestClientCert, ClientCAs: foreign})
			client := newClient(t, op, func(cfg *ciba.Config) {
				cfg.Auth, cfg.HTTPClient = auth, hc
				cfg.Certificate = func() (*tls.Certificate, error) { return registered.Load(), nil }
			})
			signInNow(t, client)

			// The provider and the client change over: connections with the old
			// certificate would be refused.
			registered.Store(newCertificate(t, tomorrow()))
			signInNow(t, client)
			if s := op.Stats(); s.Redeemed != 2 || s.Backchannel != 2 {
				t.Errorf("provider saw %+v", s)
			}
		})
	}
}

// TestMutualTLSVersions: proofs by certificate work with both versions of TLS
// and of HTTP.
func TestMutualTLSVersions(t *testing.T) {
	for name, config := range map[string]*tls.Config{
		"TLS 1.2":        {MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert},
		"TLS 1.3":        {MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert},
		"HTTP/2 TLS 1.3": {NextProtos: []string{"h2"}, ClientAuth: tls.RequireAnyClientCert},
	} {
		t.Run(name, func(t *testing.T) {
			var registered atomic.Pointer[tls.Certificate]
			registered.Store(newCertificate(t, tomorrow()))
			op := quick()
			op.ClientCertificate = isCertificate(&registered)
			hc := mtlsProvider(t, op, config)
			hc.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(0)
			client := newClient(t, op, func(cfg *ciba.Config) {
				cfg.Auth, cfg.HTTPClient = ciba.TLSClientAuth(), hc
				cfg.Certificate = func() (*tls.Certificate, error) { return registered.Load(), nil }
			})
			for range 3 {
				signInNow(t, client)
				registered.Store(newCertificate(t, tomorrow()))
			}
		})
	}
}

// TestMutualTLSRefused: the wrong certificate, and none, prove nobody.
func TestMutualTLSRefused(t *testing.T) {
	var registered atomic.Pointer[tls.Certificate]
	registered.Store(newCertificate(t, tomorrow()))
	op := quick()
	op.ClientCertificate = isCertificate(&registered)
	hc := mtlsProvider(t, op, &tls.Config{ClientAuth: tls.RequestClientCert})
	other := newCertificate(t, tomorrow())
	for name, edit := range map[string]func(*ciba.Config){
		"other": func(cfg *ciba.Config) {
			cfg.Certificate = func() (*tls.Certificate, error) { return other, nil }
		},
		"none":     func(cfg *ciba.Config) {},
		"a secret": func(cfg *ciba.Config) { cfg.Auth = ciba.ClientSecretBasic(cibatest.ClientSecret) },
		"a stolen id": func(cfg *ciba.Config) {
			cfg.ClientID = "bela"
			cfg.Certificate = func() (*tls.Certificate, error) { return registered.Load(), nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, op, func(cfg *ciba.Config) {
				cfg.Auth, cfg.HTTPClient = ciba.TLSClientAuth(), hc
				edit(cfg)
			})
			_, err := client.RequestAuthentication(t.Context(), anna())
			wantClasses(t, err, ciba.ErrInvalidClient)
		})
	}
	if op.Stats().Rang != 0 {
		t.Error("a phone rang")
	}
}

// TestNoCertificate: without a usable certificate nothing is sent, and the same
// request may be sent later.
func TestNoCertificate(t *testing.T) {
	good, other := newCertificate(t, tomorrow()), newCertificate(t, tomorrow()) // a new leaf needs its own connections
	for name, source := range map[string]ciba.CertificateFunc{
		"function fails": func() (*tls.Certificate, error) { return nil, errDevice },
		"nil":            func() (*tls.Certificate, error) { return nil, nil },
		"empty":          func() (*tls.Certificate, error) { return &tls.Certificate{}, nil },
		"rubbish":        func() (*tls.Certificate, error) { return &tls.Certificate{Certificate: [][]byte{{1, 2, 3}}}, nil },
		"expired":        func() (*tls.Certificate, error) { return newCertificate(t, time.Now().Add(-time.Minute)), nil },
		"no key":         func() (*tls.Certificate, error) { return &tls.Certificate{Certificate: other.Certificate}, nil },
		"another's key": func() (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: other.Certificate, PrivateKey: good.PrivateKey}, nil
		},
		"a device that does not sign": func() (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: other.Certificate, PrivateKey: brokenKey{other.PrivateKey.(crypto.Signer), nil}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			op := quick()
			op.ClientCertificate = func(*x509.Certificate) bool { return true }
			hc := mtlsProvider(t, op, &tls.Config{ClientAuth: tls.RequireAnyClientCert})
			m := &ciba.Metadata{
				Issuer: op.Issuer, JWKSURI: op.Issuer + "/jwks",
				TokenEndpoint: op.MTLSBase + "/token", BackchannelAuthenticationEndpoint: op.MTLSBase + "/bc-authorize",
			}
			broken := atomic.Bool{}
			client := newClient(t, op, func(cfg *ciba.Config) {
				cfg.Auth, cfg.HTTPClient, cfg.Metadata = ciba.TLSClientAuth(), hc, m
				cfg.Certificate = func() (*tls.Certificate, error) {
					if broken.Load() {
						return source()
					}
					return good, nil
				}
			})
			signInNow(t, client) // the keys are at hand
			broken.Store(true)
			_, err := client.RequestAuthentication(t.Context(), anna())
			wantClasses(t, err, ciba.ErrUnavailable)
			if name == "function fails" && !errors.Is(err, errDevice) {
				t.Errorf("error %v hides the cause", err)
			}
			if op.Stats().Backchannel != 1 {
				t.Error("something was sent")
			}
			broken.Store(false)
			signInNow(t, client)
		})
	}
}

// TestCertificateBesideKey: a client with another method presents its
// certificate all the same, and at the aliases.
func TestCertificateBesideKey(t *testing.T) {
	var seen atomic.Int32
	op := quick()
	op.Token = func(int) cibatest.Fault {
		return func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
			if r.TLS != nil && len(r.TLS.PeerCertificates) == 1 {
				seen.Add(1)
			}
			truth(w, r)
		}
	}
	hc := mtlsProvider(t, op, &tls.Config{ClientAuth: tls.RequireAnyClientCert})
	cert := newCertificate(t, tomorrow())
	signInNow(t, newClient(t, op, func(cfg *ciba.Config) {
		cfg.HTTPClient = hc
		cfg.Certificate = func() (*tls.Certificate, error) { return cert, nil }
	}))
	if seen.Load() != 1 {
		t.Error("the token endpoint saw no certificate")
	}
}

func TestCertificateConfig(t *testing.T) {
	source := func() (*tls.Certificate, error) { return nil, nil }
	for name, edit := range map[string]func(*ciba.Config){
		"method without certificate": func(cfg *ciba.Config) { cfg.Auth, cfg.HTTPClient = ciba.TLSClientAuth(), nil },
		"transport of another kind":  func(cfg *ciba.Config) { cfg.Certificate = source },
		"transport with its own TLS": func(cfg *ciba.Config) {
			cfg.Certificate = source
			cfg.HTTPClient = &http.Client{Transport: &http.Transport{DialTLSContext: (&tls.Dialer{}).DialContext}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			op := &cibatest.Provider{}
			cfg := ciba.Config{Issuer: op.IssuerURL(), ClientID: "c", Auth: ciba.ClientSecretPost("s"), HTTPClient: op.Client()}
			edit(&cfg)
			_, err := ciba.New(cfg)
			wantField(t, err, "Certificate")
		})
	}
	if _, err := ciba.New(ciba.Config{Issuer: "https://op.test", ClientID: "c", Auth: ciba.TLSClientAuth(), Certificate: source}); err != nil {
		t.Errorf("without HTTPClient: %v", err)
	}
}
