package pki

import (
	"crypto/tls"
	"crypto/x509"
	"time"
)

// VerifyHolder lets tests choose the time.
func (a *Authority) VerifyHolder(chain []*x509.Certificate, now time.Time) error {
	return a.verifyHolder(chain, now)
}

// OwnCertificate is what the authority would show to a caller now.
func (a *Authority) OwnCertificate() (*tls.Certificate, error) { return a.tls.get(a) }

// SpentTokens counts the used tokens that are remembered.
func (a *Authority) SpentTokens() (int, error) {
	entries, err := a.store.DB.List(usedTable)
	return len(entries), err
}

// UseToken marks a token as used.
func (a *Authority) UseToken(id string) (bool, error) { return a.store.UseToken(id, "") }
