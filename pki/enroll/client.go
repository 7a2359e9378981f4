package enroll

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// Client talks to one authority. Its fields must not change while it is used;
// it may be used concurrently.
type Client struct {
	// URL is where the authority listens, such as https://pki.example.com:9000.
	URL string
	// Roots verify the authority, and every certificate it returns. Nil trusts
	// nobody, so that only Root can be called.
	Roots *x509.CertPool
	// Clock is the best guess at the time on a machine whose own clock cannot
	// be trusted. It decides when the authority's certificate has expired; that
	// a certificate is "not yet valid" is never held against it. Nil means
	// time.Now.
	Clock func() time.Time
	// Timeout bounds each call, in addition to its context. Zero means 30 s.
	Timeout time.Duration
	// Dial makes the connections. Nil means a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Transport replaces the client's own transport, TLS included: it then has
	// to verify the authority, and to show the certificate that Renew is about.
	// Nil means the client's own, which is what Dial and Clock are for.
	Transport http.RoundTripper
}

// FromToken returns a client for the authority that a token names, having
// fetched and verified its root. The token must be one that was made with the
// authority's address and fingerprint in it, as Carillon's are.
func FromToken(ctx context.Context, token string) (*Client, error) {
	t, err := ParseToken(token)
	if err != nil {
		return nil, err
	}
	if t.URL == "" || t.Fingerprint == "" {
		return nil, errors.New("token: names no authority and fingerprint, so both must be configured")
	}
	c := &Client{URL: t.URL}
	root, err := c.Root(ctx, t.Fingerprint)
	if err != nil {
		return nil, err
	}
	c.Roots = mtls.Pool(root)
	return c, nil
}

// Root fetches the authority's root certificate, trusting nothing but its
// fingerprint: the SHA-256 of the certificate in hex, case and colons ignored.
func (c *Client) Root(ctx context.Context, fingerprint string) (*x509.Certificate, error) {
	want, err := hex.DecodeString(strings.ReplaceAll(fingerprint, ":", ""))
	if err != nil || len(want) != sha256.Size {
		return nil, fmt.Errorf("fingerprint %q is not the %d hex digits of a SHA-256", fingerprint, 2*sha256.Size)
	}
	var answer struct {
		Root certPEM `json:"ca"`
	}
	if err := c.call(ctx, request{path: "/root/" + hex.EncodeToString(want), anyServer: true}, &answer); err != nil {
		return nil, fmt.Errorf("fetching the root certificate: %w", err)
	}
	if answer.Root.Certificate == nil {
		return nil, errors.New("fetching the root certificate: the answer contains none")
	}
	if got := sha256.Sum256(answer.Root.Raw); subtle.ConstantTimeCompare(got[:], want) != 1 {
		return nil, fmt.Errorf("fetching the root certificate: %s has the root %x, want %x: it is another authority, or somebody stands between",
			c.URL, got, want)
	}
	return answer.Root.Certificate, nil
}

// Enroll obtains a certificate for key with a one-time token. The request is
// built from the token: its subject and names. The chain is returned leaf
// first, without the root, and has been verified: it is for key and it leads to
// Roots.
//
// A token is spent by the first attempt that reaches the authority, whatever
// comes of it. An error that is a [*StatusError] is the authority's answer.
func (c *Client) Enroll(ctx context.Context, token string, key crypto.Signer) ([]*x509.Certificate, error) {
	t, err := ParseToken(token)
	if err != nil {
		return nil, fmt.Errorf("enrolling: %w", err)
	}
	if t.Bound {
		return nil, errors.New("enrolling: the token is bound to a certificate request made before, send that one")
	}
	csr, err := newRequest(t.Subject, t.SANs, key)
	if err != nil {
		return nil, fmt.Errorf("enrolling: %w", err)
	}
	return c.EnrollRequest(ctx, token, csr)
}

// EnrollRequest is [Client.Enroll] with a certificate request that exists
// already, DER-encoded; see [NewRequest].
func (c *Client) EnrollRequest(ctx context.Context, token string, csr []byte) ([]*x509.Certificate, error) {
	asked, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, fmt.Errorf("enrolling: certificate request: %w", err)
	}
	body := map[string]string{
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
		"ott": strings.TrimSpace(token),
	}
	var answer chainAnswer
	if err := c.call(ctx, request{method: http.MethodPost, path: "/sign", body: body}, &answer); err != nil {
		return nil, fmt.Errorf("enrolling %q: %w", asked.Subject.CommonName, err)
	}
	chain, err := c.accept(&answer, asked.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("enrolling %q: %w", asked.Subject.CommonName, err)
	}
	return chain, nil
}

// Renew obtains a certificate with the same contents and a new period, showing
// the one there is: chain, leaf first, and key. The new one is for the same key.
func (c *Client) Renew(ctx context.Context, chain []*x509.Certificate, key crypto.Signer) ([]*x509.Certificate, error) {
	cert, err := mtls.Bundle(key, chain)
	if err != nil {
		return nil, fmt.Errorf("renewing: %w", err)
	}
	var answer chainAnswer
	err = c.call(ctx, request{method: http.MethodPost, path: "/renew", cert: mtls.Fixed(cert)}, &answer)
	if end := cert.Leaf.NotAfter; err != nil && c.now().After(end) {
		// TLS says no more than "bad certificate".
		return nil, fmt.Errorf("renewing %q, which expired on %s: %w", cert.Leaf.Subject.CommonName, end.UTC().Format(time.DateTime), err)
	}
	if err != nil {
		return nil, fmt.Errorf("renewing %q: %w", cert.Leaf.Subject.CommonName, err)
	}
	renewed, err := c.accept(&answer, key.Public())
	if err != nil {
		return nil, fmt.Errorf("renewing %q: %w", cert.Leaf.Subject.CommonName, err)
	}
	if was, is := cert.Leaf.Subject.String(), renewed[0].Subject.String(); was != is {
		return nil, fmt.Errorf("renewing %q: received a certificate for %q", was, is)
	}
	return renewed, nil
}

// CRL fetches the authority's revocation list, DER-encoded. It is a source for
// [mtls.RevocationConfig], which verifies it.
func (c *Client) CRL(ctx context.Context) ([]byte, error) {
	var der []byte
	if err := c.call(ctx, request{path: "/crl", limit: maxCRL}, &der); err != nil {
		return nil, fmt.Errorf("fetching the revocation list: %w", err)
	}
	return der, nil
}

// chainAnswer is the body of an answer from /sign and /renew.
type chainAnswer struct {
	Leaf  certPEM   `json:"crt"`
	CA    certPEM   `json:"ca"`
	Chain []certPEM `json:"certChain"`
}

// accept checks what the authority returned before anything is replaced by it.
func (c *Client) accept(answer *chainAnswer, pub crypto.PublicKey) ([]*x509.Certificate, error) {
	certs := answer.Chain
	if len(certs) == 0 {
		certs = []certPEM{answer.Leaf, answer.CA}
	}
	var chain []*x509.Certificate
	for _, p := range certs {
		if p.Certificate != nil {
			chain = append(chain, p.Certificate)
		}
	}
	if len(chain) == 0 {
		return nil, errors.New("the answer contains no certificate")
	}
	leaf := chain[0]
	if k, ok := pub.(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(leaf.PublicKey) {
		return nil, errors.New("the certificate received is for another key")
	}
	if c.Roots == nil {
		return nil, errors.New("no roots are configured to verify the certificate received")
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         c.Roots,
		Intermediates: mtls.Pool(chain[1:]...),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		// At the moment of its issue: the authority's clock, not this one's.
		CurrentTime: mtls.Floor(time.Time{}, chain...),
	})
	if err != nil {
		return nil, fmt.Errorf("the certificate received: %w", err)
	}
	return chain, nil
}

func (c *Client) now() time.Time {
	if c.Clock != nil {
		return c.Clock()
	}
	return time.Now()
}

// CheckURL returns an error that says what is wrong with the URL of the
// authority, for those who want to know before they need it.
func (c *Client) CheckURL() error {
	_, err := c.base()
	return err
}

// base parses the URL of the authority.
func (c *Client) base() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("address of the authority: %w", err)
	}
	if u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("address of the authority %q, want https://host:port", c.URL)
	}
	return u, nil
}
