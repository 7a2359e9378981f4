package pki

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/smallstep/certificates/authority/provisioner"
	"github.com/smallstep/certificates/db"
	"github.com/smallstep/nosql"
	"github.com/smallstep/nosql/database"
	bolt "go.etcd.io/bbolt/errors"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// The tables of step-ca that are used directly here, and ours.
var (
	certsTable   = []byte("x509_certs")
	dataTable    = []byte("x509_certs_data")
	revokedTable = []byte("revoked_x509_certs")
	usedTable    = []byte("used_ott")
	holdersTable = []byte("carillon_holders")
)

// store is step-ca's database with one thing added: what each holder has. Every
// way of issuing and revoking passes through it.
//
// A holder is one record, changed by compare-and-swap, so that a renewal and a
// revocation of the same holder cannot both succeed.
type store struct {
	*db.DB
	log *slog.Logger
}

// ErrInUse means that another process has the authority open.
var ErrInUse = errors.New("in use by another process")

func openStore(file string, log *slog.Logger) (*store, error) {
	auth, err := db.New(&db.Config{Type: "bbolt", DataSource: file})
	if errors.Is(err, bolt.ErrTimeout) {
		return nil, fmt.Errorf("the database %q: %w", file, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the database %q: %w", file, err)
	}
	s := &store{DB: auth.(*db.DB), log: log}
	if err := errors.Join(s.CreateTable(holdersTable), s.forgetSpent(time.Now())); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the database %q: %w", file, err), s.Shutdown())
	}
	return s, nil
}

// holder is what is known about one identity.
type holder struct {
	Blocked *time.Time `json:"blocked,omitempty"` // since when; nil if it is not
	Note    string     `json:"note,omitempty"`    // why it is blocked
	Keys    []heldKey  `json:"keys,omitempty"`    // every key that it ever had a certificate for
	Issued  []issued   `json:"issued,omitempty"`  // oldest first; the long expired are dropped
}

// heldKey is one key of a holder. It is never forgotten: an expired certificate
// may come back to be renewed after a year.
type heldKey struct {
	ID      string `json:"id"` // keyID
	Revoked bool   `json:"revoked,omitempty"`
}

// issued is one certificate of a holder.
type issued struct {
	Serial   string    `json:"serial"` // decimal, as in every table of step-ca
	NotAfter time.Time `json:"not_after"`
	Key      string    `json:"key"` // keyID
}

// keepExpired is how long a holder's record remembers an expired certificate.
const keepExpired = 7 * days

// errBlocked means that the holder or its key has been revoked.
var errBlocked = errors.New("revoked")

// mayHave reports whether the holder may be given a certificate for a key.
func (h *holder) mayHave(key string) error {
	if h.Blocked != nil {
		return fmt.Errorf("the holder has been %w on %s", errBlocked, h.Blocked.UTC().Format(time.DateTime))
	}
	if h.key(key).Revoked {
		return fmt.Errorf("the key has been %w", errBlocked)
	}
	return nil
}

// key returns the entry of a key, a new one if there is none.
func (h *holder) key(id string) *heldKey {
	for i := range h.Keys {
		if h.Keys[i].ID == id {
			return &h.Keys[i]
		}
	}
	h.Keys = append(h.Keys, heldKey{ID: id})
	return &h.Keys[len(h.Keys)-1]
}

func (h *holder) add(i issued, now time.Time) {
	h.key(i.Key)
	h.Issued = slices.DeleteFunc(h.Issued, func(old issued) bool {
		return now.Sub(old.NotAfter) > keepExpired
	})
	h.Issued = append(h.Issued, i)
}

// holder reads a record; an unknown holder has an empty one.
func (s *store) holder(id mtls.Identity) (*holder, []byte, error) {
	raw, err := s.Get(holdersTable, []byte(id.String()))
	if nosql.IsErrNotFound(err) {
		return &holder{}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var h holder
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, nil, fmt.Errorf("record of %s: %w", id, err)
	}
	return &h, raw, nil
}

// update changes the record of id, again if somebody else was faster.
func (s *store) update(id mtls.Identity, change func(*holder) error) error {
	for {
		h, old, err := s.holder(id)
		if err != nil {
			return err
		}
		if err := change(h); err != nil {
			return err
		}
		raw, err := json.Marshal(h)
		if err != nil {
			return err
		}
		_, swapped, err := s.CmpAndSwap(holdersTable, []byte(id.String()), old, raw)
		if err != nil || swapped {
			return err
		}
	}
}

// remember enters a certificate in the record of its holder. It fails if the
// holder or the key has been revoked since the request was checked.
func (s *store) remember(cert *x509.Certificate) error {
	id, err := mtls.IdentityOf(cert)
	if err != nil {
		return err
	}
	entry, err := entryOf(cert)
	if err != nil {
		return err
	}
	return s.update(id, func(h *holder) error {
		if err := h.mayHave(entry.Key); err != nil {
			return err
		}
		h.add(entry, time.Now())
		return nil
	})
}

// UseToken is called by step-ca to mark a token as used; it reports false if it
// was. step-ca would keep the token itself, which is of no use to anybody, and
// for ever; here it is the time after which a token of that id cannot be valid.
func (s *store) UseToken(id, _ string) (bool, error) {
	forget := time.Now().Add(maxTokenTTL + days).UTC().Format(time.RFC3339)
	_, swapped, err := s.CmpAndSwap(usedTable, []byte(id), nil, []byte(forget))
	return swapped, err
}

// forgetSpent drops used tokens that have expired since.
func (s *store) forgetSpent(now time.Time) error {
	entries, err := s.DB.List(usedTable)
	if err != nil {
		return err
	}
	tx := new(database.Tx)
	for _, e := range entries {
		forget, err := time.Parse(time.RFC3339, string(e.Value))
		if err == nil && now.After(forget) {
			tx.Del(usedTable, e.Key)
		}
	}
	if len(tx.Operations) == 0 {
		return nil
	}
	return s.Update(tx)
}

// spent reports whether a token has been used.
func (s *store) spent(tokenID string) (bool, error) {
	_, err := s.Get(usedTable, []byte(tokenID))
	if nosql.IsErrNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func entryOf(cert *x509.Certificate) (issued, error) {
	key, err := keyID(cert.PublicKey)
	return issued{Serial: cert.SerialNumber.String(), NotAfter: cert.NotAfter, Key: key}, err
}

// StoreCertificateChain is called by step-ca with every new certificate, before
// it is handed out.
func (s *store) StoreCertificateChain(p provisioner.Interface, chain ...*x509.Certificate) error {
	if err := s.remember(chain[0]); err != nil {
		return err
	}
	if err := s.DB.StoreCertificateChain(p, chain...); err != nil {
		return err
	}
	s.log.Info("certificate issued", "holder", chain[0].URIs[0].String(), "serial", chain[0].SerialNumber.String(), "not_after", chain[0].NotAfter)
	return nil
}

// StoreRenewedCertificate is called by step-ca with every renewed certificate,
// before it is handed out.
func (s *store) StoreRenewedCertificate(old *x509.Certificate, chain ...*x509.Certificate) error {
	if err := s.remember(chain[0]); err != nil {
		return err
	}
	if err := s.DB.StoreRenewedCertificate(old, chain...); err != nil {
		return err
	}
	s.log.Info("certificate renewed", "holder", chain[0].URIs[0].String(), "serial", chain[0].SerialNumber.String(),
		"not_after", chain[0].NotAfter, "old_serial", old.SerialNumber.String())
	return nil
}

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
	if err := p.holder.mayHave(entry.Key); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	p.holder.add(entry, time.Now())
	return p, nil
}
