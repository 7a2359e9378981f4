package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Role is what the holder of a certificate is, and so what it may do.
type Role string

// The roles. The authority decides the role of a certificate; nobody asks for
// one.
const (
	RoleDevice Role = "device" // a vehicle or another device: TLS client only
	RoleBridge Role = "bridge" // a bridge: TLS client only
	RoleBroker Role = "broker" // an MQTT broker: TLS server only
	RoleServer Role = "server" // any other server, such as a settings API: TLS server only
)

// Roles returns every role, in a fixed order.
func Roles() []Role {
	return []Role{RoleDevice, RoleBridge, RoleBroker, RoleServer}
}

// ParseRole returns the role of that name.
func ParseRole(name string) (Role, error) {
	switch r := Role(name); r {
	case RoleDevice, RoleBridge, RoleBroker, RoleServer:
		return r, nil
	}
	return "", fmt.Errorf("role %q is none of device, bridge, broker, server", name)
}

// maxID is the longest id. It is also the longest common name that X.509
// allows (ub-common-name, RFC 5280 appendix A).
const maxID = 64

// urnPrefix begins the URI of every identity (RFC 8141; the namespace is
// informal and private to Carillon certificates).
const urnPrefix = "urn:carillon:"

// Identity names the holder of a certificate.
type Identity struct {
	Role Role
	ID   string // [a-z0-9-]{1,64}
}

// String returns the identity as it stands in a certificate:
// urn:carillon:<role>:<id>.
func (i Identity) String() string {
	return urnPrefix + string(i.Role) + ":" + i.ID
}

// URI returns the identity as the URI of a subject alternative name.
func (i Identity) URI() *url.URL {
	return &url.URL{Scheme: "urn", Opaque: "carillon:" + string(i.Role) + ":" + i.ID}
}

// ClientID returns the MQTT client identifier of the holder, the only one that
// Carillon's broker accepts from it: the id of a device as it is, any other id
// after its role, as in bridge:eu-1. An id cannot contain a colon, so no device
// can have the client identifier of a bridge even if both have the same id.
func (i Identity) ClientID() string {
	if i.Role == RoleDevice {
		return i.ID
	}
	return string(i.Role) + ":" + i.ID
}

// Validate reports whether role and id are ones that a certificate may carry.
func (i Identity) Validate() error {
	if _, err := ParseRole(string(i.Role)); err != nil {
		return err
	}
	if i.ID == "" || len(i.ID) > maxID {
		return fmt.Errorf("id %q has %d characters, want 1 to %d", clip(i.ID), len(i.ID), maxID)
	}
	for _, c := range []byte(i.ID) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("id %q contains %q, want only a-z, 0-9 and -", i.ID, c)
		}
	}
	return nil
}

// ParseIdentity parses urn:carillon:<role>:<id>. The text must be exactly what
// [Identity.String] returns: no other case, no query, no fragment.
func ParseIdentity(uri string) (Identity, error) {
	rest, ok := strings.CutPrefix(uri, urnPrefix)
	if !ok {
		return Identity{}, fmt.Errorf("identity %q does not begin with %q", clip(uri), urnPrefix)
	}
	role, id, ok := strings.Cut(rest, ":")
	if !ok {
		return Identity{}, fmt.Errorf("identity %q has no id, want %s<role>:<id>", clip(uri), urnPrefix)
	}
	i := Identity{Role: Role(role), ID: id}
	if err := i.Validate(); err != nil {
		return Identity{}, fmt.Errorf("identity %q: %w", clip(uri), err)
	}
	return i, nil
}

// clip keeps what a stranger sent from filling an error message.
func clip(s string) string {
	const limit = 120
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}

// IdentityOf returns the identity in a certificate. The certificate must carry
// exactly one Carillon URI and exactly one common name, equal to the id: a
// broker that reads the common name and one that reads the URI then see the
// same holder. IdentityOf does not verify the certificate.
func IdentityOf(cert *x509.Certificate) (Identity, error) {
	var found []string
	for _, u := range cert.URIs {
		// The namespace of a URN has no case (RFC 8141 section 2.1), so an odd
		// spelling is ours too, and an error instead of a second opinion.
		if s := u.String(); len(s) >= len(urnPrefix) && strings.EqualFold(s[:len(urnPrefix)], urnPrefix) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return Identity{}, fmt.Errorf("certificate of %q carries no %s URI", clip(cert.Subject.String()), urnPrefix)
	case 1:
	default:
		return Identity{}, fmt.Errorf("certificate of %q carries %d %s URIs, want one", clip(cert.Subject.String()), len(found), urnPrefix)
	}
	i, err := ParseIdentity(found[0])
	if err != nil {
		return Identity{}, fmt.Errorf("certificate of %q: %w", clip(cert.Subject.String()), err)
	}
	if err := commonNameIs(cert, i.ID); err != nil {
		return Identity{}, fmt.Errorf("certificate for %s: %w", i, err)
	}
	return i, nil
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// commonNameIs reports whether id is the one common name of cert. Two common
// names would be read differently by different libraries.
func commonNameIs(cert *x509.Certificate, id string) error {
	var names int
	for _, n := range cert.Subject.Names {
		if n.Type.Equal(oidCommonName) {
			names++
		}
	}
	if names != 1 {
		return fmt.Errorf("subject has %d common names, want one", names)
	}
	if cert.Subject.CommonName != id {
		return fmt.Errorf("common name %q is not the id %q", clip(cert.Subject.CommonName), id)
	}
	return nil
}

// CheckClientUsage reports whether a certificate is for a TLS client that also
// signs: clientAuth is among its extended key usages, and digitalSignature among
// its key usages if it has any (RFC 5280 sections 4.2.1.12 and 4.2.1.3).
// [x509.Certificate.Verify] lets a certificate pass that names no usage at all.
func CheckClientUsage(cert *x509.Certificate) error {
	if !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return errors.New("certificate is not for client authentication")
	}
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return errors.New("certificate is not for signatures")
	}
	return nil
}

// PeerIdentity returns the identity of the verified client at the other end of
// a connection that was accepted with [ServerConfig].
func PeerIdentity(state tls.ConnectionState) (Identity, error) {
	if len(state.VerifiedChains) == 0 {
		return Identity{}, errors.New("the peer has shown no certificate that could be verified")
	}
	return IdentityOf(state.VerifiedChains[0][0])
}
