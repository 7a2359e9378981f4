package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/carillon-iot/carillon/pki/mtls"
)

const (
	defaultTokenTTL = time.Hour
	maxTokenTTL     = 30 * days
	// leeway is how far the clocks of who makes a token and the authority may
	// differ, the same as in step-ca.
	leeway = time.Minute
)

// TokenOptions say what an enrolment token is good for.
type TokenOptions struct {
	// TTL is how long the token can be used. Zero means one hour; at most 30
	// days.
	TTL time.Duration
	// CSR binds the token to this certificate request, DER-encoded: the token
	// is then of no use to whoever steals it. Nil binds it to nothing.
	CSR []byte
	// Names are the DNS names and IP addresses of a broker or a server; at
	// least one. Devices and bridges have none.
	Names []string
}

// Tokens makes enrolment tokens. It needs the keys in the authority's directory
// but not the authority: a token is a signed statement, whether it has been used
// is known to the authority alone.
type Tokens struct {
	url         string
	fingerprint string
	dir         string
	keys        map[mtls.Role]crypto.Signer // what is missing has been taken away by the operator
}

// OpenTokens reads the token keys in the directory of an authority, which may be
// running. The keys of roles that are not to be enrolled from here may be
// missing; password is for keys that are encrypted.
func OpenTokens(dir string, password []byte) (*Tokens, error) {
	s, err := readSettings(dir)
	if err != nil {
		return nil, err
	}
	return openTokens(dir, s, password)
}

func openTokens(dir string, s *settings, password []byte) (*Tokens, error) {
	roots, err := mtls.ReadCertificates(filepath.Join(dir, rootCertFile))
	if err != nil {
		return nil, err
	}
	t := &Tokens{url: s.URL, fingerprint: Fingerprint(roots[0]), dir: dir, keys: make(map[mtls.Role]crypto.Signer)}
	for _, role := range mtls.Roles() {
		key, err := readKey(filepath.Join(dir, tokenDir, string(role)+".key"), password)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t.keys[role] = key
	}
	return t, nil
}

// Token makes a one-time token that enrols id, a JWT (RFC 7519) that both
// package enroll and the step CLI understand. It is about 600 bytes and a
// secret until it has been used.
func (t *Tokens) Token(id mtls.Identity, opts TokenOptions) (string, error) {
	claims, err := t.claims(id, opts)
	if err != nil {
		return "", fmt.Errorf("token for %s: %w", id, err)
	}
	key := t.keys[id.Role]
	if key == nil {
		return "", fmt.Errorf("token for %s: no key in %q", id, filepath.Join(t.dir, tokenDir, string(id.Role)+".key"))
	}
	signed, err := signToken(key, claims)
	if err != nil {
		return "", fmt.Errorf("token for %s: %w", id, err)
	}
	return signed, nil
}

func (t *Tokens) claims(id mtls.Identity, opts TokenOptions) (*tokenClaims, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	if opts.TTL == 0 {
		opts.TTL = defaultTokenTTL
	}
	if opts.TTL < 0 || opts.TTL > maxTokenTTL {
		return nil, fmt.Errorf("good for %v, want up to %v", opts.TTL, maxTokenTTL)
	}
	if err := checkNames(id.Role, opts.Names); err != nil {
		return nil, err
	}
	now := time.Now()
	c := &tokenClaims{
		Claims: jwt.Claims{
			Issuer:    string(id.Role),
			Subject:   id.ID,
			Audience:  jwt.Audience{t.url + "/1.0/sign"},
			ID:        rand.Text(),
			NotBefore: jwt.NewNumericDate(now),
			IssuedAt:  jwt.NewNumericDate(now),
			Expiry:    jwt.NewNumericDate(now.Add(opts.TTL)),
		},
		SANs:        append([]string{id.String()}, opts.Names...),
		Fingerprint: t.fingerprint,
	}
	if opts.CSR != nil {
		if err := checkRequest(id, opts); err != nil {
			return nil, fmt.Errorf("certificate request: %w", err)
		}
		c.Confirmation = &confirmation{Request: requestHash(opts.CSR)}
	}
	return c, nil
}

// checkRequest finds out now what the authority would find out later.
func checkRequest(id mtls.Identity, opts TokenOptions) error {
	csr, err := x509.ParseCertificateRequest(opts.CSR)
	if err != nil {
		return err
	}
	if err := csr.CheckSignature(); err != nil {
		return err
	}
	if cn := csr.Subject.CommonName; cn != "" && cn != id.ID {
		return fmt.Errorf("common name %q, want %q", cn, id.ID)
	}
	for _, u := range csr.URIs {
		if u.String() != id.String() {
			return fmt.Errorf("asks for %q, want %q", u, id)
		}
	}
	for _, name := range requestNames(csr) {
		if !slices.Contains(opts.Names, name) {
			return fmt.Errorf("asks for %q, which is not among the names %q", name, opts.Names)
		}
	}
	return checkKey(id.Role, csr.PublicKey)
}

func requestNames(csr *x509.CertificateRequest) []string {
	return hostNames(slices.Concat(csr.DNSNames, csr.EmailAddresses), csr.IPAddresses)
}

// tokenClaims are the claims of an enrolment token, as step-ca defines them.
type tokenClaims struct {
	jwt.Claims
	SANs         []string      `json:"sans,omitempty"`
	Fingerprint  string        `json:"sha,omitempty"` // of the root, so that a token is enough to begin with
	Confirmation *confirmation `json:"cnf,omitempty"`
}

// confirmation binds a token to one certificate request.
type confirmation struct {
	Request string `json:"x5rt#S256,omitempty"`
}

func requestHash(csr []byte) string {
	sum := sha256.Sum256(csr)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func signToken(key crypto.Signer, claims any) (string, error) {
	kid, err := tokenKeyID(key.Public())
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: cryptosigner.Opaque(key)},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", kid))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// tokenKeyID is the thumbprint of a key (RFC 7638), by which the step CLI names
// a key that it reads from a file.
func tokenKeyID(pub crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: pub}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}
