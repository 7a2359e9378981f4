package agent_test

import (
	"crypto"
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// forge signs a message with whatever certificate, for whatever topic.
func forge(t *testing.T, cert *tls.Certificate, topic schemas.Topic, m schemas.Message) []byte {
	t.Helper()
	wire, err := agenttest.SignerOf(t, cert).Sign(topic, m)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func TestForgeriesHaveNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		in := b.Heard(schemas.KindSignIn)[0].Message.(*schemas.SignIn)
		sealed, err := schemas.SealGrant(in.ResponseKey, agenttest.DeviceID, id, schemas.Grant{AccessToken: []byte("evil"), ExpiresIn: 60, Person: schemas.NewHandle()})
		if err != nil {
			t.Fatal(err)
		}
		down := schemas.DownTopic(agenttest.DeviceID)
		grant := &schemas.Granted{ID: id, Sealed: sealed}
		no := b.Refusal(id, schemas.AccessDenied)
		pub := b.SealKey.Public()
		evil := &schemas.Welcome{ID: id, IssuedAt: 1, Versions: schemas.Speaks(), Name: schemas.WelcomeID{6}, Sealing: &pub}
		stranger := mtlstest.New(t)
		revoked := &schemas.Revoked{ID: schemas.NewID(), All: true}
		for name, wire := range map[string][]byte{
			"another device":            forge(t, b.CA.Device("other"), down, grant),
			"the device itself":         forge(t, mustCert(t, c.cfg.Certificate), down, no),
			"a server of the fleet":     forge(t, b.CA.Server("example.com"), down, grant),
			"another authority":         forge(t, stranger.Bridge("eu-1"), down, grant),
			"another authority, hello":  forge(t, stranger.Bridge("eu-1"), down, evil),
			"a device as a bridge":      forge(t, b.CA.Device("other"), down, evil),
			"an expired bridge":         forge(t, b.CA.Expired(mtls.Identity{Role: mtls.RoleBridge, ID: "old"}), down, evil),
			"the bridge, other device":  forge(t, b.Cert, schemas.DownTopic("other"), grant),
			"the bridge, unasked hello": forge(t, b.Cert, down, evil),
			"rubbish":                   []byte("rubbish"),
			"nothing":                   nil,
			"a revocation":              forge(t, b.CA.Device("other"), down, revoked),
		} {
			c.Handle(down.String(), wire)
			time.Sleep(time.Second)
			if s := c.look(id); s.State != agent.StateRinging {
				t.Fatalf("%s: sign-in is %q", name, s.State)
			}
		}
		// The bridge's own words on another topic do not arrive at all.
		c.Handle(schemas.DownTopic("other").String(), forge(t, b.Cert, schemas.DownTopic("other"), grant))
		c.Handle(schemas.UpTopic(agenttest.DeviceID).String(), forge(t, b.Cert, down, no))
		c.wantState(id, agent.StateRinging)
		if n := len(b.Heard(schemas.KindHello)); n > 6 {
			t.Errorf("strangers made the device say hello %d times", n)
		}
		if n := len(b.Heard(schemas.KindSignIn)); n > 6 {
			t.Errorf("strangers made the device repeat %d times", n)
		}
		b.Approve(id, "Anna")
		time.Sleep(time.Second)
		c.wantState(id, agent.StateGranted)
		if got := b.Heard(schemas.KindReceipt); len(got) != 1 {
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
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		n := len(b.Heard(schemas.KindHello)) + len(b.Heard(schemas.KindSignIn))
		for i := range 600 {
			if i%20 == 0 {
				other := b.CA.Device("other")
				c.Handle(schemas.DownTopic(agenttest.DeviceID).String(), forge(t, other, schemas.DownTopic(agenttest.DeviceID), b.Refusal(id, schemas.AccessDenied)))
			}
			time.Sleep(100 * time.Millisecond)
		}
		if more := len(b.Heard(schemas.KindHello)) + len(b.Heard(schemas.KindSignIn)) - n; more > 14 {
			t.Errorf("%d messages in a minute", more)
		}
	})
}

// Another bridge takes over: known as a peer, it is believed at once.
func TestPeersAreBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		second, device := b.CA.Bridge("eu-2"), b.CA.Device("eu-3")
		foreign := mtlstest.New(t).Bridge("eu-4")
		b.Peers = []schemas.Bytes{second.Certificate[0], device.Certificate[0], foreign.Certificate[0], []byte("no certificate")}
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		b.Set(func(b *agenttest.Bridge) { b.Cert = second })
		b.Approve(id, "Anna")
		time.Sleep(time.Second)
		c.wantState(id, agent.StateGranted)
		if n := len(b.Heard(schemas.KindHello)); n != 1 {
			t.Errorf("%d hellos", n)
		}
		id = c.signIn("bela@example.com")
		c.wantState(id, agent.StateRinging)
		for _, other := range []*tls.Certificate{device, foreign} {
			c.Handle(schemas.DownTopic(agenttest.DeviceID).String(), forge(t, other, schemas.DownTopic(agenttest.DeviceID), b.Refusal(id, schemas.AccessDenied)))
			c.wantState(id, agent.StateRinging)
		}
	})
}

// A bridge that nobody introduced is asked who it is, and then believed.
func TestNewBridgeIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		seal, err := schemas.GenerateSealKey()
		if err != nil {
			t.Fatal(err)
		}
		b.Set(func(b *agenttest.Bridge) {
			b.Cert, b.SealKey, b.Name = b.CA.Bridge("eu-2"), seal, schemas.WelcomeID{2}
		})
		b.Approve(id, "Anna")
		time.Sleep(3 * time.Second)
		c.wantState(id, agent.StateGranted)
		hello := b.Heard(schemas.KindHello)
		if len(hello) != 2 || hello[1].Message.(*schemas.Hello).Wanted == nil || hello[1].Message.(*schemas.Hello).Seen == nil {
			t.Fatalf("%d hellos, the last %+v", len(hello), hello[len(hello)-1].Message)
		}
		// The next hint is sealed to the new key, also after a restart.
		c.restart()
		id = c.signIn("bela@example.com")
		c.wantState(id, agent.StateRinging)
		if b.Private.LoginHint != "bela@example.com" {
			t.Errorf("the bridge reads the hint %v", b.Private.LoginHint)
		}
		if n := len(b.Heard(schemas.KindHello)); n != 2 {
			t.Errorf("%d hellos after the restart", n-2)
		}
	})
}

// A bridge that has lost what it knew of the device is told again.
func TestUnknownKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		b.Set(func(b *agenttest.Bridge) { clear(b.Devices) })
		id := c.signIn("anna@example.com")
		c.wantState(id, agent.StateRinging)
		if h, s := len(b.Heard(schemas.KindHello)), len(b.Heard(schemas.KindSignIn)); h != 2 || s != 2 {
			t.Errorf("%d hellos and %d sign-ins, want 2 and 2", h, s)
		}
		for i, m := range b.Heard(schemas.KindHello) {
			if seen := m.Message.(*schemas.Hello).Seen; seen != nil {
				t.Errorf("hello %d names a welcome, whose sealing key may be what is wrong", i)
			}
		}
		// One that forgets each time does not make the device shout.
		b.Refuse(id, schemas.AccessDenied)
		time.Sleep(time.Minute)
		n := len(b.Heard(schemas.KindHello))
		b.Set(func(b *agenttest.Bridge) {
			b.Answer = func(m schemas.Message) []schemas.Message {
				if m.Kind() == schemas.KindSignIn {
					return []schemas.Message{b.Refusal(m.RequestID(), schemas.UnknownKey)}
				}
				return b.Reply(m)
			}
		})
		c.signIn("bela@example.com")
		time.Sleep(4 * time.Minute)
		if more := len(b.Heard(schemas.KindHello)) - n; more > 12 {
			t.Errorf("%d hellos in four minutes", more)
		}
	})
}

// After its certificate was renewed the device introduces itself before
// anything else, and signs what is open anew.
func TestRenewedCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		cert := b.CA.Device(agenttest.DeviceID)
		c := newCar(t, b, func(cfg *agent.Config) {
			cfg.Certificate = func() (*tls.Certificate, error) { return cert, nil }
		})
		id := c.signIn("anna@example.com")
		c.Disconnected(nil)
		synctest.Wait()
		cert = b.CA.Issue(mtlstest.Leaf{
			Identity: mtls.Identity{Role: mtls.RoleDevice, ID: agenttest.DeviceID}, Key: cert.PrivateKey.(crypto.Signer),
		})
		b.Set(func(b *agenttest.Bridge) { b.Said = nil })
		c.Connected()
		time.Sleep(time.Second)
		c.wantState(id, agent.StateRinging)
		var said []agenttest.Heard
		b.Set(func(b *agenttest.Bridge) { said = b.Said })
		if len(said) != 2 || said[0].Message.Kind() != schemas.KindHello || said[1].Message.Kind() != schemas.KindSignIn {
			t.Fatalf("said %+v", said)
		}
		if want := schemas.KeyIDOf(cert.Leaf); said[0].KeyID != want || said[1].KeyID != want {
			t.Errorf("signed with %v and %v, want %v", said[0].KeyID, said[1].KeyID, want)
		}
	})
}

// A short welcome of a bridge that is not known helps nobody: the next hello
// asks for its chain.
func TestShortWelcomeOfAStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		cert := b.CA.Device(agenttest.DeviceID)
		c := newCar(t, b, func(cfg *agent.Config) {
			cfg.Certificate = func() (*tls.Certificate, error) { return cert, nil }
		})
		time.Sleep(time.Second)
		c.Disconnected(nil)
		synctest.Wait()
		cert = b.CA.Device(agenttest.DeviceID)
		b.Set(func(b *agenttest.Bridge) { b.Cert = b.CA.Bridge("eu-2") }) // under the same welcome name
		c.Connected()
		time.Sleep(10 * time.Second)
		if s := c.Status(); !s.Introduced {
			t.Fatalf("not introduced after %d hellos", len(b.Heard(schemas.KindHello)))
		}
		if n := len(b.Heard(schemas.KindHello)); n != 3 {
			t.Errorf("%d hellos", n)
		}
		c.wantState(c.signIn("anna@example.com"), agent.StateRinging)
	})
}

func TestRefusedDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		b.Set(func(b *agenttest.Bridge) {
			clear(b.Devices)
			b.Answer = func(m schemas.Message) []schemas.Message {
				if m.Kind() == schemas.KindHello {
					return []schemas.Message{b.Refusal(m.RequestID(), schemas.NotAllowed)}
				}
				return b.Reply(m)
			}
		})
		id := c.signIn("anna@example.com")
		time.Sleep(6 * time.Minute)
		if s := c.look(id); !s.State.Final() {
			t.Errorf("still %q", s.State)
		}
		n := len(b.Heard(schemas.KindHello))
		time.Sleep(time.Hour)
		if more := len(b.Heard(schemas.KindHello)) - n; more > 6 {
			t.Errorf("%d hellos in an hour from a device that is not wanted", more)
		}
	})
}
