package cmd

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// A signerCache makes a signer of the bridge's certificate, and another one when
// the certificate has changed.
type signerCache struct {
	certificate mtls.CertificateFunc

	mu     sync.Mutex       // guards the pair
	of     *tls.Certificate // for which signer was made
	signer *schemas.Signer
}

func (c *signerCache) get() (*schemas.Signer, error) {
	cert, err := c.certificate()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == cert {
		return c.signer, nil
	}
	signer, err := newSigner(cert)
	if err != nil {
		return nil, err
	}
	c.of, c.signer = cert, signer
	return signer, nil
}

func newSigner(cert *tls.Certificate) (*schemas.Signer, error) {
	chain, err := chainOf(cert)
	if err != nil {
		return nil, err
	}
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", cert.PrivateKey)
	}
	return schemas.NewSigner(key, chain)
}

func chainOf(cert *tls.Certificate) ([]*x509.Certificate, error) {
	chain := make([]*x509.Certificate, len(cert.Certificate))
	for i, der := range cert.Certificate {
		var err error
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
	}
	return chain, nil
}
