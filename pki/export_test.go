package pki

import (
	"crypto/x509"
	"time"
)

// VerifyHolder lets tests choose the time.
func (a *Authority) VerifyHolder(chain []*x509.Certificate, now time.Time) error {
	return a.verifyHolder(chain, now)
}
