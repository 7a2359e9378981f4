package cibatest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"time"
)

// Roots are whom to believe that the provider is the provider.
func (p *Provider) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.authority().root)
	return pool
}

// authority returns the one that vouches for the provider, made on first use.
func (p *Provider) authority() *authority {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.vouches == nil {
		p.vouches = newAuthority()
	}
	return p.vouches
}

// host returns the host of the issuer.
func (p *Provider) host() string {
	u, err := url.Parse(p.IssuerURL())
	if err != nil {
		panic("cibatest: Issuer: " + err.Error())
	}
	return u.Hostname()
}

// An authority issues certificates for TLS.
type authority struct {
	root *x509.Certificate
	key  crypto.Signer
}

func newAuthority() *authority {
	a := &authority{key: newKey("ES256")}
	a.root = a.sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "cibatest"},
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}, a.key.Public())
	return a
}

// config returns a configuration with a certificate for host, which edit may
// change before it is signed.
func (a *authority) config(host string, edit func(*x509.Certificate)) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("cibatest: " + err.Error())
	}
	template := &x509.Certificate{DNSNames: []string{host}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if edit != nil {
		edit(template)
	}
	leaf := a.sign(template, key.Public())
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS12,
	}
}

// sign completes a template, for a day around now unless it says otherwise.
func (a *authority) sign(template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	template.SerialNumber = big.NewInt(1)
	template.NotBefore = orElse(template.NotBefore, time.Now().Add(-24*time.Hour))
	template.NotAfter = orElse(template.NotAfter, time.Now().Add(24*time.Hour))
	parent := orElse(a.root, template)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		panic("cibatest: " + err.Error())
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic("cibatest: " + err.Error())
	}
	return cert
}
