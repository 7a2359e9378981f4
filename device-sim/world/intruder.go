package world

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// An Intruder is a device that does what it should not. It speaks MQTT well.
type Intruder struct {
	// Device is what its certificate says it is.
	Device schemas.DeviceID

	world *World
	cert  *tls.Certificate

	mu    sync.Mutex // guards the fields below
	link  *link.Link
	heard int
	said  []Said
}

// Said is a message that an intruder has published.
type Said struct {
	Topic   schemas.Topic
	Payload []byte
}

// NewIntruder enrols another device: its certificate is as good as a car's.
func (w *World) NewIntruder(ctx context.Context) (*Intruder, error) {
	in := &Intruder{Device: schemas.NewDeviceID(), world: w}
	files := &mtls.Files{CertFile: filepath.Join(w.dir, "intruder-"+string(in.Device)+".pem")}
	files.KeyFile = files.CertFile
	if err := w.enrolDevice(ctx, in.Device, files, nil); err != nil {
		return nil, err
	}
	var err error
	in.cert, err = files.Load()
	return in, err
}

// NewStranger makes a certificate that says it is victim's, issued by an
// authority that nobody here knows.
func (w *World) NewStranger(victim schemas.DeviceID) (*Intruder, error) {
	cert, err := strangeCertificate(victim)
	return &Intruder{Device: victim, world: w, cert: cert}, err
}

// Connect connects with a client id, and subscribes if a filter is given. It
// returns when the broker has said yes, or with its refusal.
func (in *Intruder) Connect(ctx context.Context, clientID, filter string) error {
	cfg := link.Config{
		Dial: link.TLSDialer(in.world.Broker(), mtls.ClientConfig(in.world.roots, mtls.Fixed(in.cert), loopback)),
		// Slow to come back: one refusal is enough.
		ClientID: clientID, MinBackoff: 10 * time.Second, MaxBackoff: time.Minute, ConnectTimeout: 5 * time.Second,
		Logger: in.world.cfg.Logger.With("part", "intruder"),
	}
	if filter != "" {
		cfg.Subscribe, cfg.Handler = []string{filter}, in.hear
	}
	l, err := link.New(cfg)
	if err != nil {
		return err
	}
	in.mu.Lock()
	in.link = l
	in.mu.Unlock()
	in.world.begin("intruder", l.Run)
	err = in.world.Await(ctx, func() error {
		if s := l.Status(); s.State != link.Up && s.Failures == 0 {
			return errors.New("the broker has not answered the intruder")
		}
		return nil
	})
	if err != nil {
		return err
	}
	e := Event{Who: "intruder", What: "connected", Text: "is connected as " + clientID}
	if err := in.Refusal(); err != nil {
		e.What, e.Text = "refused", "is refused: "+err.Error()
	}
	in.world.journal.tell(e)
	return nil
}

// Refusal is why the intruder is not connected; nil if it is.
func (in *Intruder) Refusal() error {
	s := in.status()
	if s.State == link.Up {
		return nil
	}
	return s.Err
}

func (in *Intruder) status() link.Status {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.link.Status()
}

// Publish sends a message; the broker may close the connection upon it, which
// is no error here.
func (in *Intruder) Publish(ctx context.Context, topic schemas.Topic, payload []byte) error {
	in.world.journal.tell(Event{Who: "intruder", What: "publishes", Text: fmt.Sprintf("publishes %d bytes on %v", len(payload), topic)})
	in.mu.Lock()
	in.said = append(in.said, Said{topic, payload})
	l := in.link
	in.mu.Unlock()
	if err := l.Publish(ctx, topic.String(), payload); err != nil && !errors.Is(err, link.ErrDown) {
		return err
	}
	return nil
}

// Forge signs a message for a topic with the intruder's own key.
func (in *Intruder) Forge(topic schemas.Topic, m schemas.Message) ([]byte, error) {
	key, ok := in.cert.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the intruder's key is a %T", in.cert.PrivateKey)
	}
	signer, err := schemas.NewSigner(key, []*x509.Certificate{in.cert.Leaf})
	if err != nil {
		return nil, err
	}
	return signer.Sign(topic, m)
}

func (in *Intruder) hear(string, []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.heard++
}

// Heard is how many messages have reached the intruder.
func (in *Intruder) Heard() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.heard
}

// Said returns every message that it has published.
func (in *Intruder) Said() []Said {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.said)
}

// strangeCertificate is what somebody with an authority of their own can make.
func strangeCertificate(device schemas.DeviceID) (*tls.Certificate, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Carillon Root CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	id := mtls.Identity{Role: mtls.RoleDevice, ID: string(device)}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: id.ID}, URIs: []*url.URL{id.URI()},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}, nil
}
