package pki

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

const (
	// backdate makes certificates valid a little before they were made, for
	// relying parties whose clocks are behind.
	backdate = time.Minute
	// minLifetime is the shortest a certificate may live, without the backdate.
	minLifetime = time.Minute
	// maxLifetime is the longest a leaf may live.
	maxLifetime = 2 * 365 * 24 * time.Hour
)

// Profile is what an operator may choose about the certificates of a role.
type Profile struct {
	// Lifetime is how long a certificate lives unless the request asks for
	// less. Zero means the default of the role: 60 days for a device, 30 for
	// everything else.
	Lifetime time.Duration
	// MaxLifetime is the longest that a request may ask for. Zero means 90
	// days, or Lifetime if that is longer.
	MaxLifetime time.Duration
	// RenewExpired is how long after its end a certificate can still be
	// renewed, with proof of its key and unless it has been revoked. Zero means
	// the default of the role: a year for a device, which may have been parked,
	// and never for everything else. Negative means never.
	RenewExpired time.Duration
}

const days = 24 * time.Hour

// withDefaults fills what is zero.
func (p Profile) withDefaults(role mtls.Role) Profile {
	if p.Lifetime == 0 {
		p.Lifetime = 30 * days
		if role == mtls.RoleDevice {
			p.Lifetime = 60 * days
		}
	}
	if p.MaxLifetime == 0 {
		p.MaxLifetime = max(90*days, p.Lifetime)
	}
	if p.RenewExpired == 0 && role == mtls.RoleDevice {
		p.RenewExpired = 365 * days
	}
	p.RenewExpired = max(p.RenewExpired, 0)
	return p
}

// validate checks a profile that has its defaults.
func (p Profile) validate(role mtls.Role) error {
	switch {
	case p.Lifetime < minLifetime || p.Lifetime > maxLifetime:
		return fmt.Errorf("profile %q: lifetime %v, want %v to %v", role, p.Lifetime, minLifetime, maxLifetime)
	case p.MaxLifetime < p.Lifetime || p.MaxLifetime > maxLifetime:
		return fmt.Errorf("profile %q: longest lifetime %v, want %v to %v", role, p.MaxLifetime, p.Lifetime, maxLifetime)
	}
	return nil
}

// usage is what a certificate of the role is good for; one thing, so that a
// stolen device certificate cannot pose as a broker.
func usage(role mtls.Role) (x509.ExtKeyUsage, string) {
	switch role {
	case mtls.RoleBroker, mtls.RoleServer:
		return x509.ExtKeyUsageServerAuth, "serverAuth"
	default:
		return x509.ExtKeyUsageClientAuth, "clientAuth"
	}
}

// hasHosts reports whether certificates of the role carry DNS names and
// addresses.
func hasHosts(role mtls.Role) bool {
	u, _ := usage(role)
	return u == x509.ExtKeyUsageServerAuth
}

// template is the profile in the language of step-ca. It takes the subject from
// the verified token and never looks at the request.
func template(role mtls.Role) string {
	_, use := usage(role)
	hosts := ""
	if hasHosts(role) {
		hosts = `{{ range .SANs }}{{ if or (eq .Type "dns") (eq .Type "ip") }}, {{ toJson . }}{{ end }}{{ end }}`
	}
	return fmt.Sprintf(`{
	"subject": {"commonName": {{ toJson .Token.sub }}},
	"sans": [{"type": "uri", "value": {{ toJson (printf "urn:carillon:%s:%%s" .Token.sub) }}}%s],
	"keyUsage": ["digitalSignature"],
	"extKeyUsage": [%q]
}`, role, hosts, use)
}

// leaf is the same profile for a certificate that is signed directly.
func leaf(id mtls.Identity, names []string, pub crypto.PublicKey) *x509.Certificate {
	use, _ := usage(id.Role)
	c := &x509.Certificate{
		PublicKey:   pub,
		URIs:        []*url.URL{id.URI()},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{use},
	}
	c.Subject.CommonName = id.ID
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	return c
}

// check is the last word on a certificate before it is signed, however it came
// about, and returns whose it is.
func (p Profile) check(role mtls.Role, c *x509.Certificate, now time.Time) error {
	use, name := usage(role)
	switch {
	case c.IsCA, len(c.UnknownExtKeyUsage) > 0, len(c.ExtraExtensions) > 0:
		return errors.New("certificate carries an extension that no profile has")
	case c.KeyUsage != x509.KeyUsageDigitalSignature:
		return fmt.Errorf("key usage %#x, want digital signature only", int(c.KeyUsage))
	case len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != use:
		return fmt.Errorf("extended key usage %v, want %s only", c.ExtKeyUsage, name)
	case len(c.EmailAddresses) > 0:
		return fmt.Errorf("e-mail address %q, want none", c.EmailAddresses)
	}
	if err := checkHosts(role, c.DNSNames, c.IPAddresses); err != nil {
		return err
	}
	if err := checkKey(role, c.PublicKey); err != nil {
		return err
	}
	// A request may ask for a shorter life, but not for one that begins later:
	// it would have outlived its revocation before it began.
	if c.NotBefore.After(now.Add(backdate)) || c.NotBefore.Before(now.Add(-2*backdate)) {
		return fmt.Errorf("begins at %s, want now", c.NotBefore.UTC().Format(time.RFC3339))
	}
	if life := c.NotAfter.Sub(c.NotBefore); life < minLifetime || life > p.MaxLifetime+backdate+time.Second {
		return fmt.Errorf("life of %v, want %v to %v", life, minLifetime, p.MaxLifetime)
	}
	return nil
}

// identityOf reads the identity from a certificate that is not signed yet, which
// [mtls.IdentityOf] does for one that is.
func identityOf(c *x509.Certificate) (mtls.Identity, error) {
	if len(c.URIs) != 1 {
		return mtls.Identity{}, fmt.Errorf("%d URIs, want one", len(c.URIs))
	}
	id, err := mtls.ParseIdentity(c.URIs[0].String())
	if err != nil {
		return mtls.Identity{}, err
	}
	if c.Subject.CommonName != id.ID || len(c.Subject.ExtraNames) > 0 || len(c.RawSubject) > 0 {
		return mtls.Identity{}, fmt.Errorf("subject %q, want the id %q alone", c.Subject, id.ID)
	}
	return id, nil
}
