package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/smallstep/certificates/authority"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// Config says how an authority is opened.
type Config struct {
	// Dir is the authority's directory. Required.
	Dir string
	// Create makes the authority first if there is none in Dir. Nil fails with
	// [ErrNoAuthority] instead.
	Create *Options
	// Password opens encrypted keys. Empty means that they are in the clear.
	Password []byte
	// IntermediateKey signs certificates, if its key is in a TPM or an HSM. Nil
	// reads it from the directory.
	IntermediateKey crypto.Signer
	// URL overrides where devices reach the authority, for one that listens on
	// another port each time. Empty means what the directory says.
	URL string
	// Logger hears about every refusal and every revocation, and never sees a
	// token or a key. Nil means slog.Default().
	Logger *slog.Logger
}

// Authority is an open certificate authority. It may be used concurrently.
type Authority struct {
	log          *slog.Logger
	hosts        []string
	profiles     map[mtls.Role]Profile
	root         *x509.Certificate
	intermediate *x509.Certificate
	signer       crypto.Signer // of the intermediate
	tokenKeys    map[string]tokenKey
	tokens       *Tokens
	store        *store
	step         *authority.Authority
	tls          ownCertificate

	// calling is held while step-ca answers a guarded call: v0.30.2 appends to a
	// slice that all calls share (provisioner.Audiences.All).
	calling sync.Mutex

	closing  sync.Once
	closeErr error // written once, under closing
}

// tokenKey verifies the tokens of one role.
type tokenKey struct {
	role mtls.Role
	pub  *ecdsa.PublicKey
}

// Open opens the authority in a directory, which no other process may have open.
// The caller closes it after [Authority.Run] has returned.
func Open(cfg Config) (*Authority, error) {
	if cfg.Create != nil {
		create := *cfg.Create
		if create.IntermediateKey == nil {
			create.IntermediateKey = cfg.IntermediateKey
		}
		if len(create.Password) == 0 {
			create.Password = cfg.Password
		}
		if err := Init(cfg.Dir, create); err != nil && !errors.Is(err, ErrExists) {
			return nil, err
		}
	}
	a, err := open(cfg)
	if err != nil {
		return nil, fmt.Errorf("opening the authority: %w", err)
	}
	return a, nil
}

func open(cfg Config) (_ *Authority, err error) {
	s, err := readSettings(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if cfg.URL != "" {
		s.URL = cfg.URL
		if err := s.validate(); err != nil {
			return nil, err
		}
	}
	a := &Authority{log: cfg.Logger, hosts: s.hosts()}
	if a.log == nil {
		a.log = slog.Default()
	}
	if a.profiles, err = s.profiles(); err != nil {
		return nil, err
	}
	if err := a.readCertificates(cfg); err != nil {
		return nil, err
	}
	if a.tokens, err = openTokens(cfg.Dir, s, cfg.Password); err != nil {
		return nil, err
	}
	if err := a.readTokenKeys(cfg.Dir); err != nil {
		return nil, err
	}
	if a.store, err = openStore(filepath.Join(cfg.Dir, databaseFile), a.log); err != nil {
		return nil, err
	}
	if err := a.embed(); err != nil {
		return nil, errors.Join(err, a.store.Shutdown())
	}
	return a, nil
}

func (a *Authority) readCertificates(cfg Config) error {
	roots, err := mtls.ReadCertificates(filepath.Join(cfg.Dir, rootCertFile))
	if err != nil {
		return err
	}
	inters, err := mtls.ReadCertificates(filepath.Join(cfg.Dir, intermediateFile))
	if err != nil {
		return err
	}
	a.root, a.intermediate = roots[0], inters[0]
	if err := a.intermediate.CheckSignatureFrom(a.root); err != nil {
		return fmt.Errorf("%s was not signed by %s: %w", intermediateFile, rootCertFile, err)
	}
	a.signer = cfg.IntermediateKey
	if a.signer == nil {
		a.signer, err = readKey(filepath.Join(cfg.Dir, intermediateKey), cfg.Password)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w (was the authority made with a key in a TPM or an HSM?)", err)
		}
		if err != nil {
			return err
		}
	}
	pub, ok := a.intermediate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(a.signer.Public()) {
		return fmt.Errorf("the key given or in %s is not that of %s", intermediateKey, intermediateFile)
	}
	return nil
}

func (a *Authority) readTokenKeys(dir string) error {
	a.tokenKeys = make(map[string]tokenKey)
	for _, role := range mtls.Roles() {
		pub, err := readPublicKey(filepath.Join(dir, tokenDir, string(role)+".pub"))
		if err != nil {
			return err
		}
		kid, err := tokenKeyID(pub)
		if err != nil {
			return err
		}
		if k, ok := a.tokenKeys[kid]; ok {
			// One key for two roles would make devices into bridges.
			return fmt.Errorf("the roles %q and %q have the same token key", k.role, role)
		}
		a.tokenKeys[kid] = tokenKey{role: role, pub: pub}
	}
	return nil
}

// Close releases the directory. It may be called more than once, and not while
// Run is running.
func (a *Authority) Close() error {
	a.closing.Do(func() { a.closeErr = a.step.Shutdown() })
	return a.closeErr
}

// Root returns the certificate that everybody trusts.
func (a *Authority) Root() *x509.Certificate { return a.root }

// Roots returns the root as a pool.
func (a *Authority) Roots() *x509.CertPool { return mtls.Pool(a.root) }

// Intermediate returns the certificate that signs certificates and revocation
// lists.
func (a *Authority) Intermediate() *x509.Certificate { return a.intermediate }

// RootFingerprint returns the SHA-256 of the root certificate in hex.
func (a *Authority) RootFingerprint() string { return Fingerprint(a.root) }

// Token makes a one-time token that enrols id, see [Tokens.Token].
func (a *Authority) Token(id mtls.Identity, opts TokenOptions) (string, error) {
	return a.tokens.Token(id, opts)
}
