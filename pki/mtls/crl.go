package mtls

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// maxCRL bounds a revocation list, in bytes: about 600,000 certificates at the
// 50 bytes that an entry takes.
const maxCRL = 32 << 20

// revocations is one verified revocation list; it is never changed.
type revocations struct {
	number                 *big.Int
	thisUpdate, nextUpdate time.Time
	serials                map[string]struct{} // by the bytes of the serial number
}

// parseRevocations verifies a DER-encoded list and says which issuer signed it.
func parseRevocations(der []byte, issuers []*x509.Certificate) (issuer int, r *revocations, err error) {
	if len(der) > maxCRL {
		return 0, nil, fmt.Errorf("%d bytes, want at most %d", len(der), maxCRL)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return 0, nil, err
	}
	issuer, err = signer(list, issuers)
	if err != nil {
		return 0, nil, err
	}
	if err := understood(list); err != nil {
		return 0, nil, err
	}
	r = &revocations{
		number:     list.Number,
		thisUpdate: list.ThisUpdate,
		nextUpdate: list.NextUpdate,
		serials:    make(map[string]struct{}, len(list.RevokedCertificateEntries)),
	}
	for _, e := range list.RevokedCertificateEntries {
		r.serials[string(e.SerialNumber.Bytes())] = struct{}{}
	}
	return issuer, r, nil
}

func signer(list *x509.RevocationList, issuers []*x509.Certificate) (int, error) {
	err := fmt.Errorf("issued by %q, which is none of the %d known issuers", clip(list.Issuer.String()), len(issuers))
	for i, c := range issuers {
		if !bytes.Equal(list.RawIssuer, c.RawSubject) {
			continue
		}
		// An issuer may have changed its key under the same name: try them all.
		if err = list.CheckSignatureFrom(c); err == nil {
			return i, nil
		}
		err = fmt.Errorf("signature of %q: %w", clip(list.Issuer.String()), err)
	}
	return 0, err
}

var oidIssuingDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}

// understood refuses a list with a critical extension that changes its meaning
// (RFC 5280 section 5.2): deltas, lists about other issuers, partial lists.
func understood(list *x509.RevocationList) error {
	for _, ext := range list.Extensions {
		if ext.Id.Equal(oidIssuingDistributionPoint) {
			if err := wholeList(ext.Value); err != nil {
				return err
			}
		} else if ext.Critical {
			return fmt.Errorf("unknown critical extension %v", ext.Id)
		}
	}
	for _, entry := range list.RevokedCertificateEntries {
		for _, ext := range entry.Extensions {
			if ext.Critical {
				return fmt.Errorf("entry %x has the unknown critical extension %v", entry.SerialNumber, ext.Id)
			}
		}
	}
	return nil
}

// wholeList accepts an issuing distribution point (RFC 5280 section 5.2.5) that
// says where the list is published, or that it is about user certificates, and
// nothing that would narrow it further.
func wholeList(value []byte) error {
	var idp struct {
		DistributionPoint          asn1.RawValue  `asn1:"optional,tag:0"`
		OnlyContainsUserCerts      bool           `asn1:"optional,tag:1"`
		OnlyContainsCACerts        bool           `asn1:"optional,tag:2"`
		OnlySomeReasons            asn1.BitString `asn1:"optional,tag:3"`
		IndirectCRL                bool           `asn1:"optional,tag:4"`
		OnlyContainsAttributeCerts bool           `asn1:"optional,tag:5"`
	}
	rest, err := asn1.Unmarshal(value, &idp)
	if err != nil {
		return fmt.Errorf("issuing distribution point: %w", err)
	}
	switch {
	case len(rest) > 0:
		return errors.New("issuing distribution point: trailing bytes")
	case idp.OnlyContainsCACerts, idp.OnlyContainsAttributeCerts:
		return errors.New("the list is not about the certificates of users")
	case idp.OnlySomeReasons.BitLength > 0:
		return errors.New("the list covers only some reasons of revocation")
	case idp.IndirectCRL:
		return errors.New("the list speaks for other issuers (indirect CRL)")
	}
	return nil
}

// mayReplace refuses an older list in the place of last: whoever stands between
// could otherwise undo a revocation with yesterday's list. Time decides, then
// the number: an authority that was restored from a back-up may count from
// further back, but its clock has moved on.
func (r *revocations) mayReplace(last *revocations) error {
	if last == nil || r.thisUpdate.After(last.thisUpdate) {
		return nil
	}
	if r.thisUpdate.Before(last.thisUpdate) {
		return fmt.Errorf("made at %s, older than the one in force, made at %s",
			r.thisUpdate.UTC().Format(time.RFC3339), last.thisUpdate.UTC().Format(time.RFC3339))
	}
	if r.number != nil && last.number != nil && r.number.Cmp(last.number) < 0 {
		return fmt.Errorf("number %v, lower than %v in force", r.number, last.number)
	}
	return nil
}

func (r *revocations) has(serial *big.Int) bool {
	_, ok := r.serials[string(serial.Bytes())]
	return ok
}

func (r *revocations) revokesMoreThan(last *revocations) bool {
	if last == nil {
		return len(r.serials) > 0
	}
	for s := range r.serials {
		if _, ok := last.serials[s]; !ok {
			return true
		}
	}
	return false
}

// issued reports whether cert names issuer as its issuer, without verifying.
func issued(issuer, cert *x509.Certificate) bool {
	if !bytes.Equal(cert.RawIssuer, issuer.RawSubject) {
		return false
	}
	// Two issuers of one name are told apart by their keys.
	return len(cert.AuthorityKeyId) == 0 || len(issuer.SubjectKeyId) == 0 ||
		bytes.Equal(cert.AuthorityKeyId, issuer.SubjectKeyId)
}
