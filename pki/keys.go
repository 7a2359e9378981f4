package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"go.step.sm/crypto/pemutil"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// newKey makes a P-256 key, which is what every key of the authority is: the
// smallest certificates that every TLS library verifies.
func newKey() (crypto.Signer, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// writeKey stores a private key with mode 0600, encrypted (PKCS #8, PBES2) if a
// password is given.
func writeKey(name string, key crypto.Signer, password []byte) error {
	opts := []pemutil.Options{pemutil.WithPKCS8(true)}
	if len(password) > 0 {
		opts = append(opts, pemutil.WithPassword(password))
	}
	block, err := pemutil.Serialize(key, opts...)
	if err != nil {
		return fmt.Errorf("writing %q: %w", name, err)
	}
	return mtls.WriteFile(name, pem.EncodeToMemory(block))
}

// errPassword means that a key needs a password, or another one.
var errPassword = errors.New("wrong or missing password")

func readKey(name string, password []byte) (crypto.Signer, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("no PEM block in %q", name)
	}
	encrypted := block.Type == "ENCRYPTED PRIVATE KEY"
	if encrypted && len(password) == 0 {
		return nil, fmt.Errorf("key in %q is encrypted: %w", name, errPassword)
	}
	var opts []pemutil.Options
	if encrypted {
		opts = append(opts, pemutil.WithPassword(password))
	}
	key, err := pemutil.ParseKey(data, opts...)
	if err != nil {
		if encrypted {
			return nil, fmt.Errorf("key in %q: %w", name, errPassword)
		}
		return nil, fmt.Errorf("key in %q: %w", name, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key in %q: a %T cannot sign", name, key)
	}
	return signer, nil
}

func writePublicKey(name string, pub crypto.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return fmt.Errorf("writing %q: %w", name, err)
	}
	return mtls.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func readPublicKey(name string) (*ecdsa.PublicKey, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("no public key in %q", name)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("public key in %q: %w", name, err)
	}
	key, ok := pub.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("public key in %q is a %T, want P-256", name, pub)
	}
	return key, nil
}

// keyID names a holder's key in the database: the first 96 bits of the SHA-256
// of its public half.
func keyID(pub crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:12]), nil
}
