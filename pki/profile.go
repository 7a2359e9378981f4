package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
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

func checkHosts(role mtls.Role, dns []string, ips []net.IP) error {
	if !hasHosts(role) {
		if len(dns)+len(ips) > 0 {
			return fmt.Errorf("a %s certificate carries no name but its identity, found %q", role, hostNames(dns, ips))
		}
		return nil
	}
	if len(dns)+len(ips) == 0 {
		return fmt.Errorf("a %s certificate needs a DNS name or an address", role)
	}
	for _, name := range dns {
		if err := checkDNSName(name); err != nil {
			return err
		}
	}
	return nil
}

func hostNames(dns []string, ips []net.IP) []string {
	names := slices.Clone(dns)
	for _, ip := range ips {
		names = append(names, ip.String())
	}
	return names
}

// checkNames is checkHosts for names as they stand in a token.
func checkNames(role mtls.Role, names []string) error {
	var dns []string
	var ips []net.IP
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, n)
		}
	}
	return checkHosts(role, dns, ips)
}

// checkDNSName accepts host names in lower case (RFC 1123 section 2.1), without
// wildcards: a server certificate names its server.
func checkDNSName(name string) error {
	if len(name) == 0 || len(name) > 253 {
		return fmt.Errorf("DNS name of %d characters, want 1 to 253", len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("DNS name %q has the label %q, want 1 to 63 characters that begin and end with a letter or digit", name, label)
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return fmt.Errorf("DNS name %q contains %q, want only a-z, 0-9, - and dots", name, c)
			}
		}
	}
	return nil
}

// checkKey accepts the keys that the messages of a role can be signed with:
// ES256 and EdDSA for those that sign messages, more for those that only speak
// TLS.
func checkKey(role mtls.Role, pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || (hasHosts(role) && k.Curve == elliptic.P384()) {
			return nil
		}
		return fmt.Errorf("key on the curve %s, want P-256", k.Curve.Params().Name)
	case *rsa.PublicKey:
		if hasHosts(role) && k.Size() >= 2048/8 {
			return nil
		}
		return fmt.Errorf("RSA key of %d bits, want P-256 or Ed25519", k.Size()*8)
	default:
		return fmt.Errorf("key of type %T, want P-256 or Ed25519", pub)
	}
}
