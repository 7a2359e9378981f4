package mtls

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxPEM bounds a PEM file, in bytes. A chain of ten RSA certificates is 20 kB.
const maxPEM = 1 << 20

// ErrNoCertificate means that a PEM file was read and holds no certificate.
var ErrNoCertificate = errors.New("no certificate")

// ReadCertificates reads the certificates of a PEM file, in their order; at
// least one. Blocks of other types are skipped, as a key may be in the same
// file. It serves for chains and for roots.
func ReadCertificates(name string) ([]*x509.Certificate, error) {
	blocks, err := readPEM(name)
	if err != nil {
		return nil, err
	}
	return certificatesIn(blocks, name)
}

func certificatesIn(blocks []*pem.Block, name string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for _, b := range blocks {
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in %q: %w", len(certs)+1, name, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%w in %q: found %s", ErrNoCertificate, name, kinds(blocks))
	}
	return certs, nil
}

// Pool returns certs as a pool of roots.
func Pool(certs ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool
}

func keyIn(blocks []*pem.Block, name string) (crypto.Signer, error) {
	for _, b := range blocks {
		var key any
		var err error
		switch {
		case b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != "":
			return nil, fmt.Errorf("the key in %q is encrypted, want it in the clear with mode 0600, or in a TPM", name)
		case b.Type == "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
		case b.Type == "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(b.Bytes)
		case b.Type == "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("key in %q: %w", name, err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("key in %q: a %T cannot sign", name, key)
		}
		return signer, nil
	}
	return nil, fmt.Errorf("no private key in %q: found %s", name, kinds(blocks))
}

func readPEM(name string) ([]*pem.Block, error) {
	if name == "" {
		return nil, errors.New("no file name given")
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err // names the file
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxPEM+1))
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	if len(data) > maxPEM {
		return nil, fmt.Errorf("%q is larger than %d bytes, too large for PEM", name, maxPEM)
	}
	var blocks []*pem.Block
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			return blocks, nil
		}
		blocks = append(blocks, b)
	}
}

// kinds says what PEM blocks there are, for an error message.
func kinds(blocks []*pem.Block) string {
	if len(blocks) == 0 {
		return "no PEM block"
	}
	var types []string
	for _, b := range blocks {
		types = append(types, fmt.Sprintf("%q", b.Type))
	}
	return strings.Join(types, ", ")
}

// WriteFile replaces the named file in one step and durably, with mode 0600:
// whoever opens it reads the old or the new contents, and after WriteFile has
// returned a loss of power does not bring the old ones back.
func WriteFile(name string, data []byte) (err error) {
	dir := filepath.Dir(name)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("replacing %q: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = temp.Close()
			_ = os.Remove(temp.Name())
			err = fmt.Errorf("replacing %q: %w", name, err)
		}
	}()
	if _, err := temp.Write(data); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
