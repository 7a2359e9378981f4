package world

import (
	"context"
	"crypto"
	"crypto/rand"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"crypto/x509"
	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

const bridgeID = "eu-1"

type bridgePart struct{}

// BridgeChild runs the bridge and returns its exit status if this process was
// started to be one.
func BridgeChild(ctx context.Context, args []string, stdout, stderr io.Writer) (code int, ok bool) {
	return 0, false
}

func (w *World) startBridge(ctx context.Context, broker string) error {
	files := &mtls.Files{CertFile: w.path("bridge.pem"), KeyFile: w.path("bridge.key")}
	if err := w.enrol(ctx, mtls.Identity{Role: mtls.RoleBridge, ID: bridgeID}, files); err != nil {
		return err
	}
	cert, err := files.Load()
	if err != nil {
		return err
	}
	var chain []*x509.Certificate
	for _, d := range cert.Certificate {
		c, _ := x509.ParseCertificate(d)
		chain = append(chain, c)
	}
	signer, err := schemas.NewSigner(cert.PrivateKey.(crypto.Signer), chain)
	if err != nil {
		return err
	}
	seal, _ := schemas.GenerateSealKey()
	key := make([]byte, 32)
	rand.Read(key)
	keys, err := store.NewKeyring(key)
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, store.Config{Path: w.path("bridge.db"), Keys: keys})
	if err != nil {
		return err
	}
	client, err := ciba.New(ciba.Config{Issuer: w.issuer, ClientID: clientID, Auth: ciba.ClientSecretBasic(w.secret), HTTPClient: ciba.NewHTTPClient(mtls.ClientConfig(w.roots, nil, loopback))})
	if err != nil {
		return err
	}
	pol := policy.Default()
	pol.MinExpiry = time.Second
	var b *bridge.Bridge
	l, err := link.New(link.Config{
		Dial: link.TLSDialer(broker, mtls.ClientConfig(w.roots, files.Certificate, loopback)), ClientID: link.ClientID(mtls.Identity{Role: mtls.RoleBridge, ID: bridgeID}),
		Subscribe: []string{schemas.UpFilter}, Handler: func(t string, p []byte) { b.Handle(t, p) }, Logger: w.cfg.Logger.With("part", "bridge"),
		MinBackoff: 50 * time.Millisecond, MaxBackoff: time.Second,
	})
	if err != nil {
		return err
	}
	b, err = bridge.New(bridge.Config{Signer: bridge.FixedSigner(signer), SealKeys: []*schemas.SealKey{seal}, Devices: w.roots, Provider: client, Issuer: w.issuer, Store: st, Publisher: l, Policy: pol, Logger: w.cfg.Logger.With("part", "bridge")})
	if err != nil {
		return err
	}
	w.begin("bridge", func(ctx context.Context) error {
		defer st.Close()
		g := errgroup.Group{}
		g.Go(func() error { return b.Run(ctx) })
		g.Go(func() error { return l.Run(ctx) })
		return g.Wait()
	})
	return nil
}
func (w *World) KillBridge() error                     { return nil }
func (w *World) StartBridge(ctx context.Context) error { return nil }
