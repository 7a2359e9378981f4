package pki

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"
)

const (
	// crlLife is how long a revocation list is good for: how long relying
	// parties can do without the authority before they call their list stale.
	crlLife = 24 * time.Hour
	// crlRenew is the age at which a list is made anew when it is asked for.
	crlRenew = time.Hour
)

// CRL returns the revocation list, DER-encoded and at most an hour old. It is
// about every certificate of the intermediate.
//
// step-ca would make a new list with a timer of its own and say so on the
// standard logger; here it is made when somebody asks.
func (a *Authority) CRL() ([]byte, error) {
	info, err := a.step.GetCertificateRevocationList()
	if err != nil {
		return nil, fmt.Errorf("revocation list: %w", err)
	}
	if time.Until(info.ExpiresAt) > crlLife-crlRenew {
		return info.Data, nil
	}
	if err := a.regenerate(); err != nil {
		return nil, err
	}
	if info, err = a.step.GetCertificateRevocationList(); err != nil {
		return nil, fmt.Errorf("revocation list: %w", err)
	}
	return info.Data, nil
}

func (a *Authority) regenerate() error {
	if err := a.step.GenerateCertificateRevocationList(); err != nil {
		return fmt.Errorf("making a revocation list: %w", err)
	}
	return nil
}

// issuer signs for step-ca, with the intermediate.
//
// step-ca gives its list a critical issuing distribution point with an address.
// That narrows the list to the certificates that name the same address (RFC 5280
// section 6.3.3 (b) (2)), which ours do not, for the sake of the radio; OpenSSL
// would refuse every one of them. There is one list, and it is about all
// certificates of the intermediate: such a list has no distribution point
// (section 5.2.5).
type issuer struct{ *softcas.SoftCAS }

func (a *Authority) newIssuer() (issuer, error) {
	cas, err := softcas.New(context.Background(), apiv1.Options{
		CertificateChain: []*x509.Certificate{a.intermediate}, Signer: a.signer,
	})
	return issuer{cas}, err
}

var oidIssuingDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}

// CreateCRL is called by step-ca with every new list.
func (i issuer) CreateCRL(req *apiv1.CreateCRLRequest) (*apiv1.CreateCRLResponse, error) {
	list := *req.RevocationList
	list.ExtraExtensions = slices.DeleteFunc(slices.Clone(list.ExtraExtensions), func(e pkix.Extension) bool {
		return e.Id.Equal(oidIssuingDistributionPoint)
	})
	return i.SoftCAS.CreateCRL(&apiv1.CreateCRLRequest{RevocationList: &list})
}
