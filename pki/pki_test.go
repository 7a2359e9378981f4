package pki_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// world is an authority that is being served, and a client that trusts it.
type world struct {
	*pki.Authority
	t      *testing.T
	dir    string
	url    string
	client *enroll.Client
	log    *syncBuffer
	stop   func() // stops serving and closes; may be called twice
}

// syncBuffer is a log that can be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newWorld(t *testing.T, change func(*pki.Options)) *world {
	t.Helper()
	return serve(t, t.TempDir(), change)
}

// serve opens the authority in dir, made first if need be, on a free port.
func serve(t *testing.T, dir string, change func(*pki.Options)) *world {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, url: "https://" + listener.Addr().String(), log: new(syncBuffer)}
	opts := pki.Options{URL: w.url}
	if change != nil {
		change(&opts)
	}
	w.Authority, err = pki.Open(pki.Config{
		Dir: dir, Create: &opts, Password: opts.Password, URL: w.url,
		Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- w.Run(ctx, listener) }()
	go func() { done <- w.RunAdmin(ctx, dir) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	t.Cleanup(w.stop)
	w.client = &enroll.Client{URL: w.url, Roots: w.Roots()}
	return w
}

func device(id string) mtls.Identity { return mtls.Identity{Role: mtls.RoleDevice, ID: id} }
func bridge(id string) mtls.Identity { return mtls.Identity{Role: mtls.RoleBridge, ID: id} }
func broker(id string) mtls.Identity { return mtls.Identity{Role: mtls.RoleBroker, ID: id} }

func (w *world) token(id mtls.Identity, opts pki.TokenOptions) string {
	w.t.Helper()
	token, err := w.Token(id, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// enrolled is a holder with its key.
type enrolled struct {
	chain []*x509.Certificate
	key   crypto.Signer
}

func (e enrolled) leaf() *x509.Certificate { return e.chain[0] }

func (e enrolled) tls(t *testing.T) *tls.Certificate {
	t.Helper()
	c, err := mtls.Bundle(e.key, e.chain)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) enroll(id mtls.Identity, names ...string) enrolled {
	w.t.Helper()
	key := mtlstest.Key(w.t)
	chain, err := w.client.Enroll(w.t.Context(), w.token(id, pki.TokenOptions{Names: names}), key)
	if err != nil {
		w.t.Fatal(err)
	}
	return enrolled{chain, key}
}

func (w *world) renew(e enrolled) (enrolled, error) {
	chain, err := w.client.Renew(w.t.Context(), e.chain, e.key)
	return enrolled{chain, e.key}, err
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

// signer hides what kind of key it is, as a TPM does.
type signer interface{ crypto.Signer }

func selfSigned(t *testing.T, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example Corporation"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
