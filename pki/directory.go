package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// The files of an authority's directory. The directory has mode 0700 and every
// file in it 0600.
const (
	settingsFile     = "authority.json"   // Options, but for the secrets
	rootCertFile     = "root.crt"         // what everybody trusts
	rootKeyFile      = "root.key"         // signs intermediates; belongs off line
	intermediateFile = "intermediate.crt" // signs everything else
	intermediateKey  = "intermediate.key"
	tokenDir         = "tokens" // <role>.key signs enrolment tokens, <role>.pub verifies them
	databaseFile     = "authority.db"
)

const (
	rootLife         = 20 * 365 * days
	intermediateLife = 10 * 365 * days
	// authorityBackdate lets a device whose clock has stopped accept leaves from
	// the first minutes of an authority.
	authorityBackdate = time.Hour
)

// Options say how a new authority is made.
type Options struct {
	// Name is what its certificates call it. Empty means "Carillon".
	Name string
	// URL is where devices will reach it, such as https://pki.example.com:9000.
	// It goes into every token. Required.
	URL string
	// Hosts are further DNS names and addresses at which it may be reached.
	// They are good for tokens too. Empty means localhost, 127.0.0.1 and ::1.
	Hosts []string
	// Profiles change the defaults of a role. Nil changes nothing.
	Profiles map[mtls.Role]Profile
	// Password encrypts the private keys. Empty writes them in the clear, with
	// mode 0600.
	Password []byte
	// Root and RootKey are an existing root that is to sign the intermediate;
	// the key is not stored. Nil makes one, and stores its key.
	Root    *x509.Certificate
	RootKey crypto.Signer
	// IntermediateKey is the key that will sign certificates when it is in a
	// TPM or an HSM. It is not stored, so [Config.IntermediateKey] needs it
	// again. Nil makes one, and stores it.
	IntermediateKey crypto.Signer
}

// ErrExists means that the directory holds an authority already.
var ErrExists = errors.New("there is an authority already")

// ErrNoAuthority means that the directory holds no authority.
var ErrNoAuthority = errors.New("there is no authority")

// Init makes a new authority in dir, which must be empty or missing. It fails
// with [ErrExists] if dir holds an authority, and touches nothing if dir holds
// anything else. If Init is interrupted, the directory has no authority.json and
// is of no use.
func Init(dir string, opts Options) error {
	s, err := opts.settings()
	if err != nil {
		return fmt.Errorf("new authority: %w", err)
	}
	if err := claim(dir); err != nil {
		return fmt.Errorf("new authority in %q: %w", dir, err)
	}
	root, rootKey, err := opts.root(dir, s.Name)
	if err != nil {
		return fmt.Errorf("new authority in %q: root: %w", dir, err)
	}
	if err := opts.intermediate(dir, s.Name, root, rootKey); err != nil {
		return fmt.Errorf("new authority in %q: intermediate: %w", dir, err)
	}
	if err := opts.tokenKeys(dir); err != nil {
		return fmt.Errorf("new authority in %q: token keys: %w", dir, err)
	}
	return s.write(dir) // last: it is what makes the directory an authority
}

// claim makes dir, or makes sure that it is empty.
func claim(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == settingsFile {
			return ErrExists
		}
	}
	for _, e := range entries {
		if e.Name() != "lost+found" { // the root of a volume
			return fmt.Errorf("the directory is not empty, it holds %q", e.Name())
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	return os.Mkdir(filepath.Join(dir, tokenDir), 0o700)
}

func (o *Options) root(dir, name string) (*x509.Certificate, crypto.Signer, error) {
	root, key := o.Root, o.RootKey
	if (root == nil) != (key == nil) {
		return nil, nil, errors.New("an existing root needs both certificate and key")
	}
	if root == nil {
		var err error
		if key, err = newKey(); err != nil {
			return nil, nil, err
		}
		template := authorityTemplate(name+" Root", rootLife, 1)
		if root, err = signAuthority(template, template, key.Public(), key); err != nil {
			return nil, nil, err
		}
		if err := writeKey(filepath.Join(dir, rootKeyFile), key, o.Password); err != nil {
			return nil, nil, err
		}
	}
	return root, key, writeCertificate(filepath.Join(dir, rootCertFile), root)
}

func (o *Options) intermediate(dir, name string, root *x509.Certificate, rootKey crypto.Signer) error {
	key := o.IntermediateKey
	if key == nil {
		var err error
		if key, err = newKey(); err != nil {
			return err
		}
		if err := writeKey(filepath.Join(dir, intermediateKey), key, o.Password); err != nil {
			return err
		}
	}
	cert, err := signAuthority(authorityTemplate(name+" Intermediate", intermediateLife, 0), root, key.Public(), rootKey)
	if err != nil {
		return err
	}
	if err := cert.CheckSignatureFrom(root); err != nil {
		return fmt.Errorf("the root cannot sign it: %w", err)
	}
	return writeCertificate(filepath.Join(dir, intermediateFile), cert)
}

func (o *Options) tokenKeys(dir string) error {
	for _, role := range mtls.Roles() {
		key, err := newKey()
		if err != nil {
			return err
		}
		base := filepath.Join(dir, tokenDir, string(role))
		if err := writeKey(base+".key", key, o.Password); err != nil {
			return err
		}
		if err := writePublicKey(base+".pub", key.Public()); err != nil {
			return err
		}
	}
	return nil
}

func authorityTemplate(name string, life time.Duration, pathLen int) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-authorityBackdate),
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            pathLen,
		MaxPathLenZero:        pathLen == 0,
	}
}

func signAuthority(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func writeCertificate(name string, cert *x509.Certificate) error {
	return mtls.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}
