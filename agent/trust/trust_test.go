package trust_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/trust"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

var (
	down  = schemas.DownTopic("car-1")
	quiet = slog.New(slog.DiscardHandler)
)

func envelope(t *testing.T, cert *tls.Certificate, m schemas.Message) (*schemas.Envelope, []byte) {
	t.Helper()
	wire, err := agenttest.SignerOf(t, cert).Sign(down, m)
	if err != nil {
		t.Fatal(err)
	}
	env, err := schemas.Parse(down, wire)
	if err != nil {
		t.Fatal(err)
	}
	return env, wire
}

func welcome(peers ...schemas.Bytes) *schemas.Welcome {
	return &schemas.Welcome{ID: schemas.NewID(), IssuedAt: 1, Versions: schemas.Speaks(), Name: schemas.WelcomeID{1},
		Sealing: &schemas.PublicKey{1}, Peers: peers}
}

func refusal() schemas.Message {
	return &schemas.Refused{ID: schemas.NewID(), IssuedAt: 1, Code: schemas.Expired}
}

func TestWhoIsBelieved(t *testing.T) {
	ca, stranger := mtlstest.New(t), mtlstest.New(t)
	for name, x := range map[string]struct {
		cert *tls.Certificate
		ok   bool
	}{
		"a bridge":           {ca.Bridge("eu-1"), true},
		"a device":           {ca.Device("car-2"), false},
		"a broker":           {ca.Broker("mq.example.com"), false},
		"a stranger":         {stranger.Bridge("eu-1"), false},
		"an expired bridge":  {ca.Expired(mtls.Identity{Role: mtls.RoleBridge, ID: "eu-1"}), false},
		"not valid yet":      {ca.Issue(mtlstest.Leaf{Identity: mtls.Identity{Role: mtls.RoleBridge, ID: "eu-1"}, NotBefore: time.Now().Add(time.Hour)}), true},
		"another name in CN": {ca.Issue(mtlstest.Leaf{Identity: mtls.Identity{Role: mtls.RoleBridge, ID: "eu-1"}, CommonName: "eu-2"}), false},
	} {
		env, wire := envelope(t, x.cert, welcome())
		b, w, err := trust.Open(env, wire, ca.Roots(), time.Now(), quiet)
		if (err == nil) != x.ok || (b != nil) != x.ok || (w != nil) != x.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	env, wire := envelope(t, ca.Bridge("eu-1"), refusal())
	if _, _, err := trust.Open(env, wire, ca.Roots(), time.Now(), quiet); err == nil {
		t.Error("a refusal introduces somebody")
	}
}

func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := mtlstest.New(t)
		first, second, third := ca.Bridge("eu-1"), ca.Bridge("eu-2"), ca.Bridge("eu-3")
		env, wire := envelope(t, first, welcome(second.Certificate[0]))
		b, _, err := trust.Open(env, wire, ca.Roots(), time.Now(), quiet)
		if err != nil {
			t.Fatal(err)
		}
		for _, cert := range []*tls.Certificate{first, second} {
			env, _ := envelope(t, cert, refusal())
			if _, leaf, err := b.Verify(env, time.Now()); err != nil || !leaf.Equal(cert.Leaf) {
				t.Errorf("%s: %v", cert.Leaf.Subject, err)
			}
			// Not any more, when its certificate has expired.
			if _, _, err := b.Verify(env, cert.Leaf.NotAfter.Add(time.Second)); !errors.Is(err, trust.ErrUnknownKey) {
				t.Errorf("%s, expired: %v", cert.Leaf.Subject, err)
			}
		}
		env, _ = envelope(t, third, refusal())
		if _, _, err := b.Verify(env, time.Now()); !errors.Is(err, trust.ErrUnknownKey) {
			t.Errorf("nobody named it: %v", err)
		}
		var nobody *trust.Bridges
		if _, _, err := nobody.Verify(env, time.Now()); !errors.Is(err, trust.ErrUnknownKey) {
			t.Errorf("nobody is known: %v", err)
		}
	})
}
