package pki

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/smallstep/certificates/authority/provisioner"
	"github.com/smallstep/certificates/db"
	"github.com/smallstep/nosql/database"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// storeAll enters many new certificates in one transaction, which waits for the
// disk once. It returns the indices of those whose holders were changed by
// somebody else at the same moment.
func (s *store) storeAll(role mtls.Role, certs []*x509.Certificate) (again []int, err error) {
	data, err := json.Marshal(db.CertificateData{Provisioner: &db.ProvisionerData{
		ID: string(role), Name: string(role), Type: provisioner.TypeJWK.String(),
	}})
	if err != nil {
		return nil, err
	}
	s.entering.Lock()
	defer s.entering.Unlock()
	tx := new(database.Tx)
	swaps := make([]*database.TxEntry, len(certs))
	records := make(map[mtls.Identity]*pending) // a holder may be there twice
	for i, cert := range certs {
		p, err := s.pending(records, cert)
		if err != nil {
			return nil, err
		}
		serial := []byte(cert.SerialNumber.String())
		tx.Set(certsTable, serial, cert.Raw)
		tx.Set(dataTable, serial, data)
		swaps[i] = p.swap
	}
	for id, p := range records {
		if p.swap.Value, err = json.Marshal(p.holder); err != nil {
			return nil, fmt.Errorf("record of %s: %w", id, err)
		}
		tx.Operations = append(tx.Operations, p.swap)
	}
	if err := s.Update(tx); err != nil {
		return nil, err
	}
	for i, swap := range swaps {
		if !swap.Swapped {
			again = append(again, i)
		}
	}
	return again, nil
}

// pending is a record that a transaction is about to change.
type pending struct {
	holder *holder
	swap   *database.TxEntry
}

func (s *store) pending(records map[mtls.Identity]*pending, cert *x509.Certificate) (*pending, error) {
	id, err := mtls.IdentityOf(cert)
	if err != nil {
		return nil, err
	}
	entry, err := entryOf(cert)
	if err != nil {
		return nil, err
	}
	p := records[id]
	if p == nil {
		h, old, err := s.holder(id)
		if err != nil {
			return nil, err
		}
		p = &pending{holder: h, swap: &database.TxEntry{
			Bucket: holdersTable, Key: []byte(id.String()), CmpValue: old, Cmd: database.CmpAndSwap,
		}}
		records[id] = p
	}
	if err := s.mayHave(id, p.holder, entry.Key); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	p.holder.add(entry, time.Now())
	return p, nil
}
