package enroll

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// maxToken bounds a token, in bytes; the authority's are about 600.
const maxToken = 8 << 10

// Token is what a one-time token says. The holder of a token cannot verify it,
// and need not: the authority will.
type Token struct {
	Subject     string    // the id the certificate will be for
	Issuer      string    // the name of the provisioner; at a Carillon authority the role
	SANs        []string  // names the certificate request has to carry: URIs, DNS names, IP addresses
	URL         string    // the authority, "" if the token does not say
	Fingerprint string    // SHA-256 of the authority's root in hex, "" if the token does not say
	Expiry      time.Time // zero if the token does not say
	Bound       bool      // good for one certificate request only, see Client.EnrollRequest
}

// ParseToken reads a token without verifying it.
func ParseToken(token string) (Token, error) {
	token = strings.TrimSpace(token)
	if len(token) > maxToken {
		return Token{}, fmt.Errorf("token has %d bytes, want at most %d", len(token), maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Token{}, fmt.Errorf("token has %d parts, want the 3 of a JWT", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Token{}, fmt.Errorf("token: payload: %w", err)
	}
	var claims struct {
		Subject      string       `json:"sub"`
		Issuer       string       `json:"iss"`
		Audience     oneOrMany    `json:"aud"`
		SANs         []string     `json:"sans"`
		Fingerprint  string       `json:"sha"`
		Expiry       json.Number  `json:"exp"`
		Confirmation confirmation `json:"cnf"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return Token{}, fmt.Errorf("token: payload: %w", err)
	}
	if claims.Subject == "" {
		return Token{}, errors.New("token: no subject (sub)")
	}
	t := Token{
		Subject:     claims.Subject,
		Issuer:      claims.Issuer,
		SANs:        claims.SANs,
		Fingerprint: claims.Fingerprint,
		URL:         authorityURL(claims.Audience),
		Bound:       claims.Confirmation.Request != "",
	}
	if seconds, err := claims.Expiry.Int64(); err == nil {
		t.Expiry = time.Unix(seconds, 0)
	}
	if len(t.SANs) == 0 {
		t.SANs = []string{t.Subject} // as the authority reads it
	}
	return t, nil
}

// confirmation is the claim that binds a token to one certificate request.
type confirmation struct {
	Request string `json:"x5rt#S256"`
}

// oneOrMany is a claim that is a string or a list of strings (RFC 7519 section
// 4.1.3).
type oneOrMany []string

func (o *oneOrMany) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*o = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(o))
}

// authorityURL finds the authority in the audience of a token, which names its
// endpoint for signing.
func authorityURL(audience []string) string {
	for _, a := range audience {
		u, err := url.Parse(a)
		if err == nil && u.Scheme == "https" && u.Host != "" {
			return (&url.URL{Scheme: "https", Host: u.Host}).String()
		}
	}
	return ""
}

// NewRequest returns a certificate request (PKCS #10), DER-encoded and signed
// with key, for names: URIs, DNS names, IP addresses. The authority compares
// them with the token and decides everything else itself.
//
// Send it with [Client.EnrollRequest]. It is for a token that is to be bound to
// the request; [Client.Enroll] makes its own.
func NewRequest(id mtls.Identity, names []string, key crypto.Signer) ([]byte, error) {
	if err := id.Validate(); err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	return newRequest(id.ID, append([]string{id.String()}, names...), key)
}

func newRequest(commonName string, names []string, key crypto.Signer) ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: commonName}}
	for _, name := range names {
		if name == "" {
			return nil, errors.New("certificate request: empty name")
		}
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if u, err := url.Parse(name); err == nil && u.Scheme != "" {
			template.URIs = append(template.URIs, u)
		} else if strings.Contains(name, "@") {
			template.EmailAddresses = append(template.EmailAddresses, name)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("certificate request for %q: %w", commonName, err)
	}
	return der, nil
}
