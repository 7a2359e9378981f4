package pki

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/authority/provisioner"
	"go.step.sm/crypto/jose"

	"github.com/carillon-iot/carillon/pki/mtls"
)

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
	cas, err := a.newIssuer()
	if err != nil {
		return err
	}
	step, err := authority.NewEmbedded(
		authority.WithConfig(cfg),
		authority.WithX509RootCerts(a.root),
		authority.WithX509IntermediateCerts(a.intermediate),
		authority.WithX509CAService(cas),
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
	return a.store.mayHave(id, h, key)
}
