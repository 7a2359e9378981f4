package enroll_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// authority is a step-ca of a few lines, over connections in memory, so that it
// works in a synctest bubble. The real one is tested in package pki.
type authority struct {
	*mtlstest.Authority
	t      *testing.T
	life   time.Duration
	server *http.Server
	conns  chan net.Conn

	mu       sync.Mutex
	override http.HandlerFunc // answers everything, if set
	down     bool             // refuses connections
	csr      *x509.CertificateRequest
	tokens   []string
	calls    map[string]int
	rawRoot  []byte
}

// publicKey is a key of which only the public half is known.
type publicKey struct{ key crypto.PublicKey }

func (p publicKey) Public() crypto.PublicKey { return p.key }
func (publicKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no private key here")
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{
		Authority: mtlstest.New(t), t: t, life: 60 * 24 * time.Hour,
		conns: make(chan net.Conn), calls: make(map[string]int),
	}
	a.rawRoot = a.Root.Raw
	mux := http.NewServeMux()
	mux.HandleFunc("GET /root/{sha}", func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		reply(w, http.StatusOK, map[string]string{"ca": pemOf(a.rawRoot)})
	})
	mux.HandleFunc("POST /sign", a.sign)
	mux.HandleFunc("POST /renew", a.renew)
	mux.HandleFunc("GET /crl", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(a.CRL()) })
	a.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.calls[r.URL.Path]++
		override := a.override
		a.mu.Unlock()
		if override != nil {
			override(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})}
	a.server.ErrorLog = log.New(io.Discard, "", 0) // half of the tests end handshakes
	cert := a.Issue(mtlstest.Leaf{
		Identity: mtls.Identity{Role: mtls.RoleServer, ID: "authority"},
		Hosts:    []string{"pki.example.com"}, NotAfter: time.Now().Add(5 * 365 * 24 * time.Hour),
	})
	go func() {
		_ = a.server.Serve(tls.NewListener(a, &tls.Config{
			MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven,
			ClientCAs: a.Roots(), Certificates: []tls.Certificate{*cert},
		}))
	}()
	t.Cleanup(func() {
		_ = a.server.Close()
		time.Sleep(10 * time.Second) // TLS says goodbye for up to 5 s, and a pipe has no buffer
	})
	return a
}

// Accept, Close and Addr make the authority its own listener.
func (a *authority) Accept() (net.Conn, error) {
	c, ok := <-a.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (a *authority) Close() error   { close(a.conns); return nil }
func (a *authority) Addr() net.Addr { return &net.TCPAddr{} }

func (a *authority) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	a.mu.Lock()
	down := a.down
	a.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	client, server := bufferedPipe()
	select {
	case a.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (a *authority) client() *enroll.Client {
	return &enroll.Client{URL: "https://pki.example.com:9000", Roots: a.Roots(), Dial: a.dial}
}

func (a *authority) answer(h http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.override = h
}

func (a *authority) setDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

func (a *authority) called(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[path]
}

// asked is the last certificate request.
func (a *authority) asked() *x509.CertificateRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.csr
}

func (a *authority) fingerprint() string {
	sum := sha256.Sum256(a.Root.Raw)
	return hex.EncodeToString(sum[:])
}

func (a *authority) sign(w http.ResponseWriter, r *http.Request) {
	var body struct{ CSR, OTT string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		reply(w, http.StatusBadRequest, map[string]any{"status": 400, "message": err.Error()})
		return
	}
	block, _ := pem.Decode([]byte(body.CSR))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil {
		reply(w, http.StatusBadRequest, map[string]any{"status": 400, "message": "bad request"})
		return
	}
	a.mu.Lock()
	a.csr = csr
	a.tokens = append(a.tokens, body.OTT)
	a.mu.Unlock()
	a.issue(w, mtls.Identity{Role: mtls.RoleDevice, ID: csr.Subject.CommonName}, csr.PublicKey)
}

func (a *authority) renew(w http.ResponseWriter, r *http.Request) {
	if len(r.TLS.PeerCertificates) == 0 {
		reply(w, http.StatusBadRequest, map[string]any{"status": 400, "message": "missing client certificate"})
		return
	}
	leaf := r.TLS.PeerCertificates[0]
	id, err := mtls.IdentityOf(leaf)
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]any{"status": 400, "message": err.Error()})
		return
	}
	a.issue(w, id, leaf.PublicKey)
}

func (a *authority) issue(w http.ResponseWriter, id mtls.Identity, pub crypto.PublicKey) {
	cert := a.Issue(mtlstest.Leaf{Identity: id, Key: publicKey{pub}, NotAfter: time.Now().Add(a.life)})
	replyChain(w, cert)
}

func replyChain(w http.ResponseWriter, cert *tls.Certificate) {
	leaf, inter := pemOf(cert.Certificate[0]), pemOf(cert.Certificate[1])
	reply(w, http.StatusCreated, map[string]any{"crt": leaf, "ca": inter, "certChain": []string{leaf, inter}})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// token makes a token as an authority would; nothing here checks signatures.
func (a *authority) token(id string, change map[string]any) string {
	claims := map[string]any{
		"iss": "device", "aud": "https://pki.example.com:9000/1.0/sign", "sub": id, "sha": a.fingerprint(),
		"sans": []string{"urn:carillon:device:" + id}, "exp": time.Now().Add(time.Hour).Unix(),
	}
	for k, v := range change {
		if v == nil {
			delete(claims, k)
		} else {
			claims[k] = v
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		a.t.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	return strings.Join([]string{enc([]byte(`{"alg":"ES256"}`)), enc(payload), enc([]byte("signature"))}, ".")
}
