package agent_test

import (
	"crypto"
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// forge signs a message with whatever certificate, for whatever topic.
func forge(t *testing.T, cert *tls.Certificate, topic schemas.Topic, m schemas.Message) []byte {
	t.Helper()
	wire, err := signerOf(t, cert).Sign(topic, m)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func TestForgeriesHaveNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		in := b.heard(schemas.KindSignIn)[0].m.(*schemas.SignIn)
		sealed, err := schemas.SealGrant(in.ResponseKey, deviceID, id, schemas.Grant{AccessToken: []byte("evil"), ExpiresIn: 60, Person: schemas.NewHandle()})
		if err != nil {
			t.Fatal(err)
		}
		down := schemas.DownTopic(deviceID)
		grant := &schemas.Granted{ID: id, Sealed: sealed}
		no := b.refusal(id, schemas.AccessDenied)
		pub := b.seal.Public()
		evil := &schemas.Welcome{ID: id, IssuedAt: 1, Versions: schemas.Speaks(), Name: schemas.WelcomeID{6}, Sealing: &pub}
		stranger := mtlstest.New(t)
		revoked := &schemas.Revoked{ID: schemas.NewID(), All: true}
		for name, wire := range map[string][]byte{
			"another device":            forge(t, b.ca.Device("other"), down, grant),
			"the device itself":         forge(t, mustCert(t, c.cfg.Certificate), down, no),
			"a server of the fleet":     forge(t, b.ca.Server("example.com"), down, grant),
			"another authority":         forge(t, stranger.Bridge("eu-1"), down, grant),
			"another authority, hello":  forge(t, stranger.Bridge("eu-1"), down, evil),
			"a device as a bridge":      forge(t, b.ca.Device("other"), down, evil),
			"an expired bridge":         forge(t, b.ca.Expired(mtls.Identity{Role: mtls.RoleBridge, ID: "old"}), down, evil),
			"the bridge, other device":  forge(t, b.cert, schemas.DownTopic("other"), grant),
			"the bridge, unasked hello": forge(t, b.cert, down, evil),
			"rubbish":                   []byte("rubbish"),
			"nothing":                   nil,
			"a revocation":              forge(t, b.ca.Device("other"), down, revoked),
		} {
			c.Handle(down.String(), wire)
			time.Sleep(time.Second)
			if s := c.look(id); s.State != agent.StateRinging {
				t.Fatalf("%s: sign-in is %q", name, s.State)
			}
		}
		// The bridge's own words on another topic do not arrive at all.
		c.Handle(schemas.DownTopic("other").String(), forge(t, b.cert, schemas.DownTopic("other"), grant))
		c.Handle(schemas.UpTopic(deviceID).String(), forge(t, b.cert, down, no))
		c.wantState(id, agent.StateRinging)
		if n := len(b.heard(schemas.KindHello)); n > 6 {
			t.Errorf("strangers made the device say hello %d times", n)
		}
		if n := len(b.heard(schemas.KindSignIn)); n > 6 {
			t.Errorf("strangers made the device repeat %d times", n)
		}
		b.approve(id, "Anna")
		time.Sleep(time.Second)
		c.wantState(id, agent.StateGranted)
		if got := b.heard(schemas.KindReceipt); len(got) != 1 {
			t.Errorf("%d receipts", len(got))
		}
	})
}

func mustCert(t *testing.T, f mtls.CertificateFunc) *tls.Certificate {
	t.Helper()
	c, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A flood of strangers costs a bounded number of hellos.
func TestStrangersDoNotMakeItShout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		n := len(b.heard(schemas.KindHello)) + len(b.heard(schemas.KindSignIn))
		for i := range 600 {
			if i%20 == 0 {
				other := b.ca.Device("other")
				c.Handle(schemas.DownTopic(deviceID).String(), forge(t, other, schemas.DownTopic(deviceID), b.refusal(id, schemas.AccessDenied)))
			}
			time.Sleep(100 * time.Millisecond)
		}
		if more := len(b.heard(schemas.KindHello)) + len(b.heard(schemas.KindSignIn)) - n; more > 14 {
			t.Errorf("%d messages in a minute", more)
		}
	})
}

// Another bridge takes over: known as a peer, it is believed at once.
func TestPeersAreBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t)
		second, device := b.ca.Bridge("eu-2"), b.ca.Device("eu-3")
		foreign := mtlstest.New(t).Bridge("eu-4")
		b.peers = []schemas.Bytes{second.Certificate[0], device.Certificate[0], foreign.Certificate[0], []byte("no certificate")}
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		b.set(func(b *bridge) { b.cert = second })
		b.approve(id, "Anna")
		time.Sleep(time.Second)
		c.wantState(id, agent.StateGranted)
		if n := len(b.heard(schemas.KindHello)); n != 1 {
			t.Errorf("%d hellos", n)
		}
		id = c.signIn("bela@example.com")
		c.wantState(id, agent.StateRinging)
		for _, other := range []*tls.Certificate{device, foreign} {
			c.Handle(schemas.DownTopic(deviceID).String(), forge(t, other, schemas.DownTopic(deviceID), b.refusal(id, schemas.AccessDenied)))
			c.wantState(id, agent.StateRinging)
		}
	})
}

// A bridge that nobody introduced is asked who it is, and then believed.
func TestNewBridgeIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		seal, err := schemas.GenerateSealKey()
		if err != nil {
			t.Fatal(err)
		}
		b.set(func(b *bridge) {
			b.cert, b.seal, b.greet = b.ca.Bridge("eu-2"), seal, schemas.WelcomeID{2}
		})
		b.approve(id, "Anna")
		time.Sleep(3 * time.Second)
		c.wantState(id, agent.StateGranted)
		hello := b.heard(schemas.KindHello)
		if len(hello) != 2 || hello[1].m.(*schemas.Hello).Wanted == nil || hello[1].m.(*schemas.Hello).Seen == nil {
			t.Fatalf("%d hellos, the last %+v", len(hello), hello[len(hello)-1].m)
		}
		// The next hint is sealed to the new key, also after a restart.
		c.restart()
		id = c.signIn("bela@example.com")
		c.wantState(id, agent.StateRinging)
		if b.private.LoginHint != "bela@example.com" {
			t.Errorf("the bridge reads the hint %v", b.private.LoginHint)
		}
		if n := len(b.heard(schemas.KindHello)); n != 2 {
			t.Errorf("%d hellos after the restart", n-2)
		}
	})
}

// A bridge that has lost what it knew of the device is told again.
func TestUnknownKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		b.set(func(b *bridge) { clear(b.devices) })
		id := c.signIn("anna@example.com")
		c.wantState(id, agent.StateRinging)
		if h, s := len(b.heard(schemas.KindHello)), len(b.heard(schemas.KindSignIn)); h != 2 || s != 2 {
			t.Errorf("%d hellos and %d sign-ins, want 2 and 2", h, s)
		}
		// One that forgets each time does not make the device shout.
		b.refuse(id, schemas.AccessDenied)
		time.Sleep(time.Minute)
		n := len(b.heard(schemas.KindHello))
		b.set(func(b *bridge) {
			b.answer = func(m schemas.Message) []schemas.Message {
				if m.Kind() == schemas.KindSignIn {
					return []schemas.Message{b.refusal(m.RequestID(), schemas.UnknownKey)}
				}
				return b.reply(m)
			}
		})
		c.signIn("bela@example.com")
		time.Sleep(4 * time.Minute)
		if more := len(b.heard(schemas.KindHello)) - n; more > 12 {
			t.Errorf("%d hellos in four minutes", more)
		}
	})
}

// After its certificate was renewed the device introduces itself before
// anything else, and signs what is open anew.
func TestRenewedCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t)
		cert := b.ca.Device(deviceID)
		c := newCar(t, b, func(cfg *agent.Config) {
			cfg.Certificate = func() (*tls.Certificate, error) { return cert, nil }
		})
		id := c.signIn("anna@example.com")
		c.Disconnected(nil)
		synctest.Wait()
		cert = b.ca.Issue(mtlstest.Leaf{
			Identity: mtls.Identity{Role: mtls.RoleDevice, ID: deviceID}, Key: cert.PrivateKey.(crypto.Signer),
		})
		b.set(func(b *bridge) { b.said = nil })
		c.Connected()
		time.Sleep(time.Second)
		c.wantState(id, agent.StateRinging)
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.said) != 2 || b.said[0].m.Kind() != schemas.KindHello || b.said[1].m.Kind() != schemas.KindSignIn {
			t.Fatalf("said %+v", b.said)
		}
		if want := schemas.KeyIDOf(cert.Leaf); b.said[0].kid != want || b.said[1].kid != want {
			t.Errorf("signed with %v and %v, want %v", b.said[0].kid, b.said[1].kid, want)
		}
	})
}

func TestRefusedDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		b.set(func(b *bridge) {
			clear(b.devices)
			b.answer = func(m schemas.Message) []schemas.Message {
				if m.Kind() == schemas.KindHello {
					return []schemas.Message{b.refusal(m.RequestID(), schemas.NotAllowed)}
				}
				return b.reply(m)
			}
		})
		id := c.signIn("anna@example.com")
		time.Sleep(6 * time.Minute)
		if s := c.look(id); !s.State.Final() {
			t.Errorf("still %q", s.State)
		}
		n := len(b.heard(schemas.KindHello))
		time.Sleep(time.Hour)
		if more := len(b.heard(schemas.KindHello)) - n; more > 6 {
			t.Errorf("%d hellos in an hour from a device that is not wanted", more)
		}
	})
}
