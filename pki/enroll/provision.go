package enroll

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"os"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// Provision returns the certificate in files, or obtains one with the token and
// stores it. A key is made (P-256) and stored first unless files have one, so
// that a crash in between costs a token and never leaves a certificate without
// its key. A file that is there but cannot be used is an error: it is not
// overwritten.
func (c *Client) Provision(ctx context.Context, files *mtls.Files, token string) (*tls.Certificate, error) {
	cert, err := files.Load()
	if err == nil {
		return cert, nil
	}
	if _, statErr := os.Stat(files.CertFile); !errors.Is(statErr, os.ErrNotExist) && !holdsKeyOnly(files) {
		return nil, err
	}
	if token == "" {
		return nil, fmt.Errorf("no certificate in %q and no token to obtain one with", files.CertFile)
	}
	key, err := KeyFor(files)
	if err != nil {
		return nil, err
	}
	chain, err := c.Enroll(ctx, token, key)
	if err != nil {
		return nil, err
	}
	if err := files.Store(key, chain); err != nil {
		return nil, err
	}
	return files.Load()
}

// holdsKeyOnly reports whether one file is to hold both and holds the key: what
// a crash before the enrolment leaves.
func holdsKeyOnly(files *mtls.Files) bool {
	if files.Key != nil || files.KeyFile != files.CertFile {
		return false
	}
	if _, err := files.LoadKey(); err != nil {
		return false
	}
	_, err := mtls.ReadCertificates(files.CertFile)
	return errors.Is(err, mtls.ErrNoCertificate)
}

// KeyFor returns the key of files, or makes one (P-256) and stores it if there is
// none.
func KeyFor(files *mtls.Files) (crypto.Signer, error) {
	key, err := files.LoadKey()
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return key, err
	}
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	if err := files.StoreKey(key); err != nil {
		return nil, err
	}
	return key, nil
}
