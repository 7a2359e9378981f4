// Package mtlstest mints throw-away certificates for tests: a root, an
// intermediate and leaves, in memory, in microseconds.
//
// Everything is valid from time.Now, so an [Authority] made inside a
// testing/synctest bubble fits the clock of the bubble.
package mtlstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// Authority is a throw-away authority of a root and an intermediate. It may be
// used concurrently.
type Authority struct {
	Root         *x509.Certificate
	Intermediate *x509.Certificate

	tb  testing.TB
	key crypto.Signer // of the intermediate

	mu      sync.Mutex // guards the fields below
	serial  int64
	number  int64
	revoked []x509.RevocationListEntry
}

// New returns a new authority, trusted by nobody else. It fails tb when
// something cannot be minted.
func New(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{tb: tb, serial: 100}
	rootKey := Key(tb)
	a.key = Key(tb)
	a.Root = a.sign(caTemplate("test root", 1), nil, rootKey.Public(), rootKey)
	a.Intermediate = a.sign(caTemplate("test intermediate", 0), a.Root, a.key.Public(), rootKey)
	return a
}

// Key returns a new P-256 key.
func Key(tb testing.TB) crypto.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("making a key: %v", err)
	}
	return key
}

func caTemplate(name string, pathLen int) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          big.NewInt(int64(pathLen) + 1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-24 * time.Hour),
		NotAfter:              time.Now().Add(10 * 365 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            pathLen,
		MaxPathLenZero:        pathLen == 0,
	}
}

func (a *Authority) sign(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	a.tb.Helper()
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		a.tb.Fatalf("minting a certificate for %q: %v", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.tb.Fatalf("parsing the certificate of %q: %v", template.Subject.CommonName, err)
	}
	return cert
}

// Roots returns the root as a pool.
func (a *Authority) Roots() *x509.CertPool { return mtls.Pool(a.Root) }

// Device returns a certificate for the device id, with a new key.
func (a *Authority) Device(id string) *tls.Certificate {
	return a.Issue(Leaf{Identity: mtls.Identity{Role: mtls.RoleDevice, ID: id}})
}

// Bridge returns a certificate for the bridge id, with a new key.
func (a *Authority) Bridge(id string) *tls.Certificate {
	return a.Issue(Leaf{Identity: mtls.Identity{Role: mtls.RoleBridge, ID: id}})
}

// Broker returns a certificate for a broker at hosts, DNS names or IP addresses.
func (a *Authority) Broker(hosts ...string) *tls.Certificate {
	return a.Issue(Leaf{Identity: mtls.Identity{Role: mtls.RoleBroker, ID: "broker"}, Hosts: hosts})
}

// Server returns a certificate for a server at hosts, DNS names or IP addresses.
func (a *Authority) Server(hosts ...string) *tls.Certificate {
	return a.Issue(Leaf{Identity: mtls.Identity{Role: mtls.RoleServer, ID: "server"}, Hosts: hosts})
}

// Expired returns a certificate for id that ended an hour ago.
func (a *Authority) Expired(id mtls.Identity) *tls.Certificate {
	return a.Issue(Leaf{Identity: id, NotAfter: time.Now().Add(-time.Hour)})
}

// Leaf describes a leaf certificate, right or wrong. Zero fields mean what a
// correct certificate for Identity has.
type Leaf struct {
	Identity  mtls.Identity
	Hosts     []string      // DNS names and IP addresses of a server
	Key       crypto.Signer // nil: a new P-256 key
	NotBefore time.Time     // zero: a minute ago, or a day before NotAfter if that has passed
	NotAfter  time.Time     // zero: in 30 days

	CommonName  string             // empty: the id
	URIs        []*url.URL         // nil: the URI of the identity
	ExtKeyUsage []x509.ExtKeyUsage // nil: what the role may do
}

// Issue returns the certificate that leaf describes, chain and key included.
func (a *Authority) Issue(leaf Leaf) *tls.Certificate {
	a.tb.Helper()
	if leaf.Key == nil {
		leaf.Key = Key(a.tb)
	}
	cert := a.sign(a.template(leaf), a.Intermediate, leaf.Key.Public(), a.key)
	bundle, err := mtls.Bundle(leaf.Key, []*x509.Certificate{cert, a.Intermediate})
	if err != nil {
		a.tb.Fatalf("bundling the certificate of %s: %v", leaf.Identity, err)
	}
	return bundle
}

func (a *Authority) template(leaf Leaf) *x509.Certificate {
	a.mu.Lock()
	a.serial++
	serial := a.serial
	a.mu.Unlock()

	t := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: leaf.CommonName},
		NotBefore:    leaf.NotBefore,
		NotAfter:     leaf.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  leaf.ExtKeyUsage,
		URIs:         leaf.URIs,
	}
	if leaf.CommonName == "" {
		t.Subject.CommonName = leaf.Identity.ID
	}
	if leaf.URIs == nil {
		t.URIs = []*url.URL{leaf.Identity.URI()}
	}
	if leaf.ExtKeyUsage == nil {
		t.ExtKeyUsage = usage(leaf.Identity.Role)
	}
	if t.NotAfter.IsZero() {
		t.NotAfter = time.Now().Add(30 * 24 * time.Hour)
	}
	if t.NotBefore.IsZero() {
		t.NotBefore = time.Now().Add(-time.Minute)
		if t.NotAfter.Before(t.NotBefore) {
			t.NotBefore = t.NotAfter.Add(-24 * time.Hour)
		}
	}
	for _, h := range leaf.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return t
}

func usage(role mtls.Role) []x509.ExtKeyUsage {
	switch role {
	case mtls.RoleBroker, mtls.RoleServer:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	default:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
}

// Revoke puts cert on the lists that [Authority.CRL] makes from now on.
func (a *Authority) Revoke(cert *x509.Certificate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked = append(a.revoked, x509.RevocationListEntry{
		SerialNumber:   cert.SerialNumber,
		RevocationTime: time.Now(),
	})
}

// CRL returns a new revocation list, DER-encoded, good for a day.
func (a *Authority) CRL() []byte {
	a.tb.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.number++
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number:                    big.NewInt(a.number),
		ThisUpdate:                time.Now(),
		NextUpdate:                time.Now().Add(24 * time.Hour),
		RevokedCertificateEntries: a.revoked,
	}, a.Intermediate, a.key)
	if err != nil {
		a.tb.Fatalf("making a revocation list: %v", err)
	}
	return der
}
