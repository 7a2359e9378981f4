package fleet

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// credentials are what an authority has issued for one run. It is closed again:
// nothing in a run is renewed or revoked.
type credentials struct {
	dir   string // of the servers' files
	roots *x509.CertPool
	// devices have a key and a certificate each.
	devices []*tls.Certificate
}

// enrolBatch is how many devices are enrolled at a time.
const enrolBatch = 1000

// enrol makes or opens the authority in a directory and has it certify everybody:
// the servers into files of dir, the devices in memory. Keys and certificates are
// made together, as in a factory; see pki.Authority.IssueAll.
func enrol(authority, dir string, cfg Config, log *slog.Logger) (c *credentials, err error) {
	a, err := pki.Open(pki.Config{
		Dir: authority, Create: &pki.Options{URL: "https://" + loopback}, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	c = &credentials{dir: dir, roots: a.Roots()}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Root().Raw})
	if err := os.WriteFile(c.rootsFile(), root, 0o600); err != nil {
		return nil, err
	}
	if err := c.enrolServers(a, cfg); err != nil {
		return nil, err
	}
	for len(c.devices) < cfg.Devices {
		n := min(enrolBatch, cfg.Devices-len(c.devices))
		if err := c.enrolDevices(a, n); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *credentials) rootsFile() string { return filepath.Join(c.dir, "roots.pem") }

// files are a server's.
func (c *credentials) files(name string) *mtls.Files {
	return &mtls.Files{CertFile: filepath.Join(c.dir, name+".pem"), KeyFile: filepath.Join(c.dir, name+".key")}
}

func (c *credentials) enrolServers(a *pki.Authority, cfg Config) error {
	servers := map[string]mtls.Identity{partProvider: {Role: mtls.RoleServer, ID: "fleet-provider"}}
	if cfg.Broker == nil {
		servers[partBroker] = mtls.Identity{Role: mtls.RoleBroker, ID: "fleet-broker"}
	}
	for i := range cfg.Bridges {
		servers[bridgeName(i)] = mtls.Identity{Role: mtls.RoleBridge, ID: "fleet-" + strconv.Itoa(i+1)}
	}
	for name, id := range servers {
		if err := c.enrolServer(a, name, id); err != nil {
			return err
		}
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	return (&mtls.Files{KeyFile: c.signingKeyFile()}).StoreKey(key)
}

func (c *credentials) enrolServer(a *pki.Authority, name string, id mtls.Identity) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	req := pki.IssueRequest{Identity: id, PublicKey: key.Public()}
	if id.Role != mtls.RoleBridge {
		req.Names = []string{loopback}
	}
	chain, err := a.Issue(req)
	if err != nil {
		return err
	}
	return c.files(name).Store(key, chain)
}

// signingKeyFile holds the key of the provider's tokens.
func (c *credentials) signingKeyFile() string { return filepath.Join(c.dir, "signing.key") }

// bridgeName is what the bridge of a number from 0 is called.
func bridgeName(i int) string { return Kill{Part: partBridge, Number: i + 1}.name() }

func (c *credentials) enrolDevices(a *pki.Authority, n int) error {
	keys := make([]crypto.Signer, n)
	reqs := make([]pki.IssueRequest, n)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		group.Go(func() (err error) {
			if keys[i], err = newKey(); err != nil {
				return err
			}
			id := mtls.Identity{Role: mtls.RoleDevice, ID: string(schemas.NewDeviceID())}
			reqs[i] = pki.IssueRequest{Identity: id, PublicKey: keys[i].Public()}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	chains, err := a.IssueAll(reqs)
	if err != nil {
		return err
	}
	for i, chain := range chains {
		cert, err := mtls.Bundle(keys[i], chain)
		if err != nil {
			return fmt.Errorf("device %s: %w", reqs[i].Identity, err)
		}
		c.devices = append(c.devices, cert)
	}
	return nil
}

func newKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
