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
	"time"

	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/authority/provisioner"
	"go.step.sm/crypto/jose"

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

// embed starts step-ca inside this process, with nothing of its own around it:
// no files, no listener, no timers.
func (a *Authority) embed() error {
	never := &provisioner.Duration{Duration: 100 * 365 * days}
	cfg := &config.Config{
		DNSNames:   a.hosts,
		CommonName: a.intermediate.Subject.CommonName,
		CRL: &config.CRLConfig{
			Enabled:          true,
			GenerateOnRevoke: true,
			CacheDuration:    &provisioner.Duration{Duration: crlLife},
			RenewPeriod:      never, // see Authority.CRL
		},
		AuthorityConfig: &config.AuthConfig{
			Backdate: &provisioner.Duration{Duration: backdate},
			// Used tokens are in the database, so a token from before a restart
			// is as good as any.
			DisableIssuedAtCheck: true,
		},
	}
	for kid, key := range a.tokenKeys {
		cfg.AuthorityConfig.Provisioners = append(cfg.AuthorityConfig.Provisioners, a.provisioner(kid, key))
	}
	step, err := authority.NewEmbedded(
		authority.WithConfig(cfg),
		authority.WithX509RootCerts(a.root),
		authority.WithX509Signer(a.intermediate, a.signer),
		authority.WithDatabase(a.store),
		authority.WithX509Enforcers(provisioner.CertificateEnforcerFunc(a.enforce)),
		authority.WithQuietInit(),
	)
	if err != nil {
		return err
	}
	a.step = step
	return nil
}

// provisioner is what step-ca calls the issuer of tokens.
func (a *Authority) provisioner(kid string, key tokenKey) provisioner.Interface {
	p := a.profiles[key.role]
	yes, expired := true, p.RenewExpired > 0
	return &provisioner.JWK{
		// A name of its own for the database, so that certificates stay
		// renewable when the token key is replaced.
		ID:   string(key.role),
		Type: "JWK",
		Name: string(key.role),
		// Only the public half: step-ca publishes what it is given.
		Key: &jose.JSONWebKey{Key: key.pub, KeyID: kid, Algorithm: jose.ES256, Use: "sig"},
		Claims: &provisioner.Claims{
			MinTLSDur:               &provisioner.Duration{Duration: minLifetime},
			DefaultTLSDur:           &provisioner.Duration{Duration: p.Lifetime},
			MaxTLSDur:               &provisioner.Duration{Duration: p.MaxLifetime},
			AllowRenewalAfterExpiry: &expired, // how long is for the guard to say
			// 90 bytes in every handshake of every device, for what the database
			// and the identity say as well.
			DisableSmallstepExtensions: &yes,
		},
		Options: &provisioner.Options{X509: &provisioner.X509Options{Template: template(key.role)}},
	}
}

// enforce has the last word on a certificate that step-ca is about to sign.
func (a *Authority) enforce(c *x509.Certificate) error {
	id, err := identityOf(c)
	if err != nil {
		return err
	}
	if c.NotAfter.After(a.intermediate.NotAfter) {
		c.NotAfter = a.intermediate.NotAfter
	}
	if err := a.profiles[id.Role].check(id.Role, c, time.Now()); err != nil {
		return fmt.Errorf("profile %q: %w", id.Role, err)
	}
	return a.mayHave(id, c.PublicKey)
}

// mayHave reports whether id may be given a certificate for a key.
func (a *Authority) mayHave(id mtls.Identity, pub crypto.PublicKey) error {
	key, err := keyID(pub)
	if err != nil {
		return err
	}
	h, _, err := a.store.holder(id)
	if err != nil {
		return err
	}
	return h.mayHave(key)
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
