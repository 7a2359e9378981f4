package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// verifyToken verifies everything about a token but that it is used for the
// first time. Call is "sign" or "revoke". An error is a refusal that says what
// is wrong and does not repeat the token.
func (a *Authority) verifyToken(token, call string) (*tokenClaims, error) {
	if token == "" {
		return nil, refuse(http.StatusBadRequest, "no token")
	}
	signed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, refuse(http.StatusUnauthorized, "the token is not a JWT signed with ES256")
	}
	key, ok := a.tokenKeys[signed.Headers[0].KeyID]
	if !ok {
		return nil, refuse(http.StatusUnauthorized, "the token is signed with the key %q, which is not one of this authority", clip(signed.Headers[0].KeyID))
	}
	var claims tokenClaims
	if err := signed.Claims(key.pub, &claims); err != nil {
		return nil, refuse(http.StatusUnauthorized, "the token's signature is wrong")
	}
	if claims.Issuer != string(key.role) {
		return nil, refuse(http.StatusUnauthorized, "the token is issued by %q with the key of %q", clip(claims.Issuer), key.role)
	}
	if err := claims.inTime(time.Now()); err != nil {
		return nil, refuse(http.StatusUnauthorized, "%w", err)
	}
	if !a.isAudience(claims.Audience, call) {
		return nil, refuse(http.StatusUnauthorized, "the token is for %q, not to %s at this authority, which is %q", clip(strings.Join(claims.Audience, " ")), call, a.hosts)
	}
	// step-ca will check and write this in one step, and say no more than "not
	// authorized".
	spent, err := a.store.spent(claims.ID)
	if err != nil {
		return nil, err
	}
	if spent {
		return nil, refuse(http.StatusUnauthorized, "the token has already been used")
	}
	return &claims, nil
}

func (c *tokenClaims) inTime(now time.Time) error {
	switch {
	case c.ID == "":
		return errors.New("the token has no id (jti), so it could be used again")
	case c.Expiry == nil:
		return errors.New("the token never expires (exp)")
	case now.After(c.Expiry.Time().Add(leeway)):
		return fmt.Errorf("the token expired on %s, it is %s now", c.Expiry.Time().UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
	case c.NotBefore != nil && now.Before(c.NotBefore.Time().Add(-leeway)):
		return fmt.Errorf("the token is not valid before %s, it is %s now", c.NotBefore.Time().UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
	case c.Expiry.Time().After(now.Add(maxTokenTTL + leeway)):
		return fmt.Errorf("the token is good until %s, want at most %v", c.Expiry.Time().UTC().Format(time.DateTime), maxTokenTTL)
	}
	return nil
}

// isAudience compares without the port, which a proxy may have changed.
func (a *Authority) isAudience(audience jwt.Audience, call string) bool {
	return slices.ContainsFunc(audience, func(aud string) bool {
		u, err := url.Parse(aud)
		return err == nil && u.Scheme == "https" && slices.Contains(a.hosts, u.Hostname()) &&
			(u.Path == "/1.0/"+call || u.Path == "/"+call)
	})
}

// mayAsk compares a request with its token and the role. The request has no say
// in what the certificate will contain; one that asks for more than its token
// allows is a mistake or an attack, and either is worth an answer.
func (c *tokenClaims) mayAsk(id mtls.Identity, csr *x509.CertificateRequest) error {
	if err := id.Validate(); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	names := c.names(id)
	if err := checkNames(id.Role, names); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return fmt.Errorf("certificate request: %w", err)
	}
	if cn := csr.Subject.CommonName; cn != "" && cn != id.ID {
		return fmt.Errorf("the request asks for the common name %q, the token allows %q", clip(cn), id.ID)
	}
	for _, u := range csr.URIs {
		if u.String() != id.String() {
			return fmt.Errorf("the request asks for %q, the token allows %q", clip(u.String()), id)
		}
	}
	for _, name := range requestNames(csr) {
		if !slices.Contains(names, name) && (name != id.ID || hasHosts(id.Role)) {
			return fmt.Errorf("the request asks for %q, which the token does not allow", clip(name))
		}
	}
	if err := checkKey(id.Role, csr.PublicKey); err != nil {
		return fmt.Errorf("certificate request: %w", err)
	}
	return nil
}

// names returns the DNS names and addresses in a token. For a device the step
// CLI puts the id among them if it is told nothing; it means nothing there.
func (c *tokenClaims) names(id mtls.Identity) []string {
	var names []string
	for _, san := range c.SANs {
		if san == id.String() || (san == id.ID && !hasHosts(id.Role)) {
			continue
		}
		if ip := net.ParseIP(san); ip != nil {
			san = ip.String()
		}
		names = append(names, san)
	}
	return names
}

func clip(s string) string {
	const limit = 120
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}
