package mtls

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// Files is a certificate and its key in PEM files. Its method Certificate is a
// [CertificateFunc] that notices when the files have been replaced. A Files is
// used by pointer and may be used concurrently.
type Files struct {
	// CertFile holds the chain, leaf first, without the root.
	CertFile string
	// KeyFile holds the key: PKCS #8, SEC 1 or PKCS #1, not encrypted. It may
	// be the same file as CertFile; key and chain are then always replaced in
	// one step. With two files, a crash exactly between the two renames of
	// Store leaves a pair that does not match, which Load reports.
	KeyFile string
	// Key is the key when it is not in a file: a TPM, PKCS#11 or an agent of
	// its own. KeyFile is then not used. Nil means that the key is in KeyFile.
	Key crypto.Signer
	// Logger hears about files that could not be reloaded. Nil means
	// slog.Default().
	Logger *slog.Logger

	mu     sync.Mutex       // guards the fields below; held while the files are read, so that a burst of handshakes reads them once
	good   *tls.Certificate // what Certificate returns; nil before the first success
	seen   []os.FileInfo    // the files as they were at the last attempt
	failed error            // why the last attempt failed; nil if it did not
}

// Load reads the certificate and its key. It fails if a file is missing,
// malformed or if the key is not the certificate's. An expired certificate is
// no error: it is for the other end to say so, whose clock is better.
func (f *Files) Load() (*tls.Certificate, error) {
	blocks, err := readPEM(f.CertFile)
	if err != nil {
		return nil, err
	}
	chain, err := certificatesIn(blocks, f.CertFile)
	if err != nil {
		return nil, err
	}
	var key crypto.Signer
	if f.Key == nil && f.KeyFile == f.CertFile {
		key, err = keyIn(blocks, f.KeyFile) // of the same reading: the file may be replaced at any moment
	} else {
		key, err = f.LoadKey()
	}
	if err != nil {
		return nil, err
	}
	if !samePublicKey(key.Public(), chain[0].PublicKey) {
		return nil, fmt.Errorf("certificate in %q (%q, serial %x) does not belong to %s",
			f.CertFile, clip(chain[0].Subject.String()), chain[0].SerialNumber, f.keyName())
	}
	return bundle(key, chain), nil
}

// LoadKey returns Key, or reads KeyFile. The error is an [os.ErrNotExist] if
// there is no such file, for a caller that then makes a key.
func (f *Files) LoadKey() (crypto.Signer, error) {
	if f.Key != nil {
		return f.Key, nil
	}
	blocks, err := readPEM(f.KeyFile)
	if err != nil {
		return nil, err
	}
	return keyIn(blocks, f.KeyFile)
}

// Store replaces key and chain on disk, each file in one step and durably:
// after Store has returned, a loss of power leaves the new pair; during Store,
// each file is either the old or the new one. The files have mode 0600.
//
// The key must be the one of the leaf, chain[0]. A nil key leaves the key file
// as it is, and so does any key when Key is set.
func (f *Files) Store(key crypto.Signer, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return fmt.Errorf("storing %q: no certificate given", f.CertFile)
	}
	keep := key == nil || f.Key != nil
	if keep {
		var err error
		if key, err = f.LoadKey(); err != nil {
			return fmt.Errorf("storing %q: %w", f.CertFile, err)
		}
	}
	if !samePublicKey(key.Public(), chain[0].PublicKey) {
		return fmt.Errorf("storing %q: the certificate does not belong to the key", f.CertFile)
	}
	if f.Key != nil || (keep && f.CertFile != f.KeyFile) {
		return WriteFile(f.CertFile, encodeChain(chain))
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return fmt.Errorf("storing %q: %w", f.KeyFile, err)
	}
	if f.CertFile == f.KeyFile {
		return WriteFile(f.CertFile, append(keyPEM, encodeChain(chain)...))
	}
	if err := WriteFile(f.KeyFile, keyPEM); err != nil {
		return err
	}
	return WriteFile(f.CertFile, encodeChain(chain))
}

// StoreKey writes the key alone, for a device that must not lose it between
// making it and receiving the certificate. With one file for both, the chain
// is dropped: it belonged to another key.
func (f *Files) StoreKey(key crypto.Signer) error {
	if f.Key != nil {
		return errors.New("storing a key: the key is not kept in a file")
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return fmt.Errorf("storing %q: %w", f.KeyFile, err)
	}
	return WriteFile(f.KeyFile, keyPEM)
}

// Certificate returns the pair on disk, and reads it again when a file has
// changed. If the new files cannot be used, the last good pair stays in use and
// the logger is told once for each change. It is a [CertificateFunc].
func (f *Files) Certificate() (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := f.stat()
	if err == nil && sameFiles(now, f.seen) {
		if f.good == nil {
			return nil, f.failed
		}
		return f.good, nil
	}
	var cert *tls.Certificate
	if err == nil {
		cert, err = f.Load()
	}
	if err == nil {
		f.good, f.seen, f.failed = cert, now, nil
		return cert, nil
	}
	f.complain(err)
	f.seen, f.failed = now, err
	if f.good == nil {
		return nil, err
	}
	return f.good, nil
}

func (f *Files) complain(err error) {
	if f.good == nil || (f.failed != nil && f.failed.Error() == err.Error()) {
		return // the caller gets the error, or the log has it
	}
	log := f.Logger
	if log == nil {
		log = slog.Default()
	}
	log.Warn("cannot reload the certificate, going on with the last one",
		"error", err, "serial", fmt.Sprintf("%x", f.good.Leaf.SerialNumber), "not_after", f.good.Leaf.NotAfter)
}

func (f *Files) stat() ([]os.FileInfo, error) {
	names := []string{f.CertFile}
	if f.Key == nil && f.KeyFile != f.CertFile {
		names = append(names, f.KeyFile)
	}
	infos := make([]os.FileInfo, len(names))
	for i, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("looking for %q: %w", name, err)
		}
		infos[i] = info
	}
	return infos, nil
}

// sameFiles compares identity as well as time and size: a file system with
// coarse times would otherwise hide a quick second replacement.
func sameFiles(a, b []os.FileInfo) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !os.SameFile(a[i], b[i]) || !a[i].ModTime().Equal(b[i].ModTime()) || a[i].Size() != b[i].Size() {
			return false
		}
	}
	return true
}

func (f *Files) keyName() string {
	if f.Key != nil {
		return "the given key"
	}
	return fmt.Sprintf("the key in %q", f.KeyFile)
}

func bundle(key crypto.Signer, chain []*x509.Certificate) *tls.Certificate {
	cert := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert
}

// Bundle returns key and chain as a certificate for TLS. It fails if the key is
// not the one of the leaf, chain[0].
func Bundle(key crypto.Signer, chain []*x509.Certificate) (*tls.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("no certificate given")
	}
	if !samePublicKey(key.Public(), chain[0].PublicKey) {
		return nil, fmt.Errorf("the certificate of %q does not belong to the key", clip(chain[0].Subject.String()))
	}
	return bundle(key, chain), nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func encodeChain(chain []*x509.Certificate) []byte {
	var out []byte
	for _, c := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("a key of type %T cannot be written to a file (set Files.Key for a key that lives elsewhere): %w", key, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
