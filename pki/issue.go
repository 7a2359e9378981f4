package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"time"

	"go.step.sm/crypto/x509util"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// IssueRequest asks for one certificate from the authority itself.
type IssueRequest struct {
	Identity mtls.Identity
	// PublicKey is the holder's. Nobody has proved that it has the other half.
	PublicKey crypto.PublicKey
	// Names are the DNS names and IP addresses of a broker or a server.
	Names []string
	// Lifetime is how long the certificate lives. Zero means what the profile
	// says.
	Lifetime time.Duration
}

// issueBatch is how many certificates share one write to the disk.
const issueBatch = 500

// Issue signs a certificate with the intermediate, without a token. The chain is
// returned leaf first, without the root.
//
// It is for programs that are the authority themselves, such as a simulator or
// a factory that makes keys and certificates together. What it bypasses: there
// is no token, so nothing is used up; there is no certificate request, so nobody
// has proved to have the key; and step-ca's own checks and log do not see it.
// What it does not bypass: the profile of the role is the same, byte for byte,
// a revoked holder gets nothing, and the certificate is recorded before it is
// returned, so that it can be listed, renewed and revoked like any other.
//
// Each call waits for the disk; [Authority.IssueAll] waits once for many.
func (a *Authority) Issue(req IssueRequest) ([]*x509.Certificate, error) {
	chains, err := a.IssueAll([]IssueRequest{req})
	if err != nil {
		return nil, err
	}
	return chains[0], nil
}

// IssueAll is [Authority.Issue] for many requests at once. The chains are in the
// order of the requests. After an error some of them may have been recorded, but
// none has been returned.
func (a *Authority) IssueAll(reqs []IssueRequest) ([][]*x509.Certificate, error) {
	certs := make([]*x509.Certificate, len(reqs))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, req := range reqs {
		group.Go(func() (err error) {
			if certs[i], err = a.signDirectly(req); err != nil {
				return fmt.Errorf("issuing for %s: %w", req.Identity, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := a.record(certs); err != nil {
		return nil, fmt.Errorf("recording certificates: %w", err)
	}
	a.log.Info("certificates issued directly", "count", len(certs))
	chains := make([][]*x509.Certificate, len(certs))
	for i, c := range certs {
		chains[i] = []*x509.Certificate{c, a.intermediate}
	}
	return chains, nil
}

// signDirectly makes and signs a certificate, and records nothing.
func (a *Authority) signDirectly(req IssueRequest) (*x509.Certificate, error) {
	if err := req.Identity.Validate(); err != nil {
		return nil, err
	}
	if req.Lifetime == 0 {
		req.Lifetime = a.profiles[req.Identity.Role].Lifetime
	}
	now := time.Now()
	c := leaf(req.Identity, req.Names, req.PublicKey)
	c.NotBefore, c.NotAfter = now.Add(-backdate), now.Add(req.Lifetime)
	if err := a.enforce(c); err != nil {
		return nil, err
	}
	return a.sign(c)
}

func (a *Authority) sign(c *x509.Certificate) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, maxSerial)
	if err != nil {
		return nil, err
	}
	c.SerialNumber = serial
	return x509util.CreateCertificate(c, a.intermediate, c.PublicKey, a.signer)
}

// maxSerial is one more than the largest serial number, of 127 bits: positive
// and of 16 bytes (RFC 5280 section 4.1.2.2 allows 20).
var maxSerial = new(big.Int).Lsh(big.NewInt(1), 127)

// record enters certificates in the database, in batches by role.
func (a *Authority) record(certs []*x509.Certificate) error {
	byRole := make(map[mtls.Role][]*x509.Certificate)
	for _, c := range certs {
		id, err := mtls.IdentityOf(c)
		if err != nil {
			return err
		}
		byRole[id.Role] = append(byRole[id.Role], c)
	}
	for role, todo := range byRole {
		for tries := 0; len(todo) > 0; tries++ {
			if tries > len(certs)+100 {
				return errors.New("the same holders are being changed without end")
			}
			batch := todo[:min(len(todo), issueBatch)]
			again, err := a.store.storeAll(role, batch)
			if err != nil {
				return err
			}
			todo = todo[len(batch):]
			for _, i := range again {
				todo = append(todo, batch[i])
			}
		}
	}
	return nil
}
