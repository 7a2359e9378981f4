package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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
	// entering is held while certificates are entered, so that of two namesakes
	// one is the first. The database has one writer at a time anyway.
	entering sync.Mutex
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

// remember enters a certificate in the record of its holder. It fails if the
// holder or the key has been revoked, or the id taken, since the request was
// checked.
func (s *store) remember(cert *x509.Certificate) error {
	id, err := mtls.IdentityOf(cert)
	if err != nil {
		return err
	}
	entry, err := entryOf(cert)
	if err != nil {
		return err
	}
	s.entering.Lock()
	defer s.entering.Unlock()
	return s.update(id, func(h *holder) error {
		if err := s.mayHave(id, h, entry.Key); err != nil {
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
