package pki

import (
	"crypto/x509"
	"encoding/json"

	"github.com/smallstep/certificates/db"
	"github.com/smallstep/nosql/database"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// Revoke is called by step-ca for its own API: one certificate by its serial
// number.
func (s *store) Revoke(info *db.RevokedCertificateInfo) error {
	cert, err := s.GetCertificate(info.Serial)
	if err != nil {
		s.log.Warn("certificate revoked that is unknown here", "serial", info.Serial, "reason", info.ReasonCode)
		return s.DB.Revoke(info) // from before a restore, perhaps
	}
	already, err := s.IsRevoked(info.Serial)
	if err != nil {
		return err
	}
	if _, err := s.revokeKey(cert, *info); err != nil {
		return err
	}
	if already {
		return db.ErrAlreadyExists
	}
	return nil
}

// revokeKey revokes the key of a certificate, and every certificate with it.
func (s *store) revokeKey(cert *x509.Certificate, info db.RevokedCertificateInfo) ([]string, error) {
	serials, err := s.revokeKeyOf(cert, info)
	if err == nil {
		s.log.Warn("certificate revoked", "subject", cert.Subject.CommonName, "serials", serials, "reason", info.ReasonCode, "note", info.Reason)
	}
	return serials, err
}

func (s *store) revokeKeyOf(cert *x509.Certificate, info db.RevokedCertificateInfo) ([]string, error) {
	entry, err := entryOf(cert)
	if err != nil {
		return nil, err
	}
	if info.ReasonCode == int(ReasonSuperseded) {
		return s.revokeAll([]issued{entry}, info)
	}
	id, err := mtls.IdentityOf(cert)
	if err != nil {
		return nil, err
	}
	same := []issued{entry}
	err = s.update(id, func(h *holder) error {
		h.key(entry.Key).Revoked = true
		for _, i := range h.Issued {
			if i.Key == entry.Key && i.Serial != entry.Serial {
				same = append(same, i)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.revokeAll(same, info)
}

// revokeAll enters certificates in the table of the revoked, in one transaction,
// and returns those that were not in it.
func (s *store) revokeAll(list []issued, info db.RevokedCertificateInfo) ([]string, error) {
	tx := new(database.Tx)
	var serials []string
	for _, i := range list {
		revoked, err := s.IsRevoked(i.Serial)
		if err != nil {
			return nil, err
		}
		if revoked {
			continue
		}
		info.Serial, info.ExpiresAt = i.Serial, i.NotAfter
		raw, err := json.Marshal(info)
		if err != nil {
			return nil, err
		}
		tx.Set(revokedTable, []byte(i.Serial), raw)
		serials = append(serials, i.Serial)
	}
	if len(serials) == 0 {
		return nil, nil
	}
	return serials, s.Update(tx)
}
