package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// checkHosts compares the hosts of a certificate with its role: servers have at
// least one, clients none.
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
