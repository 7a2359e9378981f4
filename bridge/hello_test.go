package bridge_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// welcomed says hello and returns the welcome, or nil.
func (d *device) welcomed(h schemas.Hello) *schemas.Welcome {
	d.w.t.Helper()
	h.ID, h.IssuedAt = schemas.NewID(), schemas.Seconds(time.Now())
	if h.Versions == (schemas.Versions{}) {
		h.Versions = schemas.Speaks()
	}
	d.send(&h)
	time.Sleep(time.Second)
	for _, m := range d.answers(h.ID) {
		if w, ok := m.(*schemas.Welcome); ok {
			return w
		}
	}
	return nil
}

func TestWelcome(t *testing.T) {
	inWorld(t, &cibatest.Provider{}, func(w *world) {
		w.start()
		car := w.device("car-1")
		first := car.welcomed(schemas.Hello{})
		if first == nil || first.Sealing == nil || *first.Sealing != w.seal.Public() || len(first.Peers) != 0 {
			t.Fatalf("welcome %+v", first)
		}
		if w := car.welcomed(schemas.Hello{Seen: &first.Name}); w == nil || w.Sealing != nil || w.Name != first.Name {
			t.Errorf("a device that has seen it is told %+v", w)
		}
		unknown := schemas.KeyID{1}
		if w := car.welcomed(schemas.Hello{Seen: &first.Name, Wanted: &unknown}); w == nil || w.Sealing == nil {
			t.Errorf("a device that misses a key is told %+v", w)
		}
		w.stop()

		// A renewed bridge is another welcome, and names its old certificate as a
		// peer, because answers that it signed may still be on their way.
		old := w.signer.Load().Chain()[0]
		w.renewBridge()
		w.start()
		second := car.welcomed(schemas.Hello{Seen: &first.Name})
		if second == nil || second.Name == first.Name || second.Sealing == nil {
			t.Fatalf("after the renewal: %+v", second)
		}
		if len(second.Peers) != 1 || string(second.Peers[0]) != string(old.Raw) {
			t.Errorf("the welcome names %d peers, want the old certificate", len(second.Peers))
		}
	})
}

// A bridge that has joined a moment ago, or is one of many, is named to a device
// that asks for it: the device has got an answer that it cannot verify.
func TestWelcomeNamesWhomTheDeviceWants(t *testing.T) {
	inWorld(t, &cibatest.Provider{}, func(w *world) {
		w.start()
		car := w.device("car-1")
		first := car.welcomed(schemas.Hello{})
		for i := range 12 {
			joined := w.ca.Bridge(fmt.Sprintf("b%d", 2+i)).Leaf
			if err := w.store.PutBridge(context.Background(), joined, time.Now().Add(-time.Duration(i)*time.Minute)); err != nil {
				t.Fatal(err)
			}
			if i > 9 {
				time.Sleep(time.Minute) // the bridge learns of the others
			}
			kid := schemas.KeyIDOf(joined)
			got := car.welcomed(schemas.Hello{Seen: &first.Name, Wanted: &kid})
			if got == nil || len(got.Peers) == 0 || len(got.Peers) > 8 {
				t.Fatalf("welcome %+v", got)
			}
			if !slices.ContainsFunc(got.Peers, func(p schemas.Bytes) bool { return string(p) == string(joined.Raw) }) {
				t.Errorf("after %d have joined, the welcome does not name the one that is wanted", i+1)
			}
		}
		for _, kid := range []schemas.KeyID{schemas.KeyIDOf(w.signer.Load().Chain()[0]), {9}} {
			got := car.welcomed(schemas.Hello{Seen: &first.Name, Wanted: &kid})
			if got == nil || slices.ContainsFunc(got.Peers, func(p schemas.Bytes) bool { return schemas.KeyIDOf(must(x509.ParseCertificate(p))) == kid }) {
				t.Errorf("welcome %+v", got)
			}
		}
	})
}

func TestUnsupportedVersion(t *testing.T) {
	inWorld(t, &cibatest.Provider{}, func(w *world) {
		w.start()
		car := w.device("car-1")
		car.refused(&schemas.Hello{ID: schemas.NewID(), IssuedAt: 1, Versions: schemas.Versions{Min: 7, Max: 9}}, schemas.UnsupportedVersion)
	})
}

// A device that is not known is asked to say hello, but not as often as
// somebody may pretend to be it.
func TestUnknownKey(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.device("car-1")
		m := car.signIn("anna@example.com")
		car.refused(m, schemas.UnknownKey)
		for range 20 {
			car.send(m)
		}
		time.Sleep(time.Second)
		if n := len(car.answers(m.ID)); n != 1 {
			t.Errorf("%d answers to 21 messages nobody has signed", n)
		}
		car.hello()
		car.grant(m)
	})
}

// A certificate that was renewed counts besides the old one, also after a
// restart.
func TestRenewedDevice(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		old := car.signer
		car.use(w.ca.Device("car-1"))
		car.hello()
		w.stop()
		w.start()
		car.grant(car.signIn("anna@example.com"))
		car.signer = old
		car.grant(car.signIn(""))
	})
}

// Whoever is not the device gets no answer but unknown_key, and rings nobody.
func TestImpostors(t *testing.T) {
	op := &cibatest.Provider{}
	inWorld(t, op, func(w *world) {
		w.start()
		w.car("car-1")
		stranger := mtlstest.New(t)
		for name, cert := range map[string]*tls.Certificate{
			"another device":    w.ca.Device("car-2"),
			"another authority": stranger.Device("car-1"),
			"a bridge":          w.ca.Issue(mtlstest.Leaf{Identity: mtls.Identity{Role: mtls.RoleBridge, ID: "car-1"}}),
			"a server":          w.ca.Issue(mtlstest.Leaf{Identity: mtls.Identity{Role: mtls.RoleDevice, ID: "car-1"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}),
			"the past":          w.ca.Expired(mtls.Identity{Role: mtls.RoleDevice, ID: "car-1"}),
		} {
			thief := w.device("car-1")
			thief.use(cert)
			if got := thief.welcomed(schemas.Hello{}); got != nil {
				t.Errorf("%s is welcomed as car-1", name)
			}
			m := thief.signIn("anna@example.com")
			thief.send(m)
			time.Sleep(time.Minute)
			for _, a := range thief.answers(m.ID) {
				if final(a) {
					t.Errorf("%s got the final answer %+v", name, a)
				}
			}
		}
		if s := op.Stats(); s.Rang != 0 {
			t.Errorf("an impostor rang a phone")
		}
	})
}

// A forged or damaged message is not answered at all.
func TestDamaged(t *testing.T) {
	op := &cibatest.Provider{}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		_, heard := car.all()
		topic := schemas.UpTopic("car-1")
		signed, err := car.signer.Sign(topic, car.signIn("anna@example.com"))
		if err != nil {
			t.Fatal(err)
		}
		b := w.bridge.Load()
		for i := range signed {
			bad := append([]byte(nil), signed...)
			bad[i] ^= 0x40
			b.Handle(topic.String(), bad)
			time.Sleep(time.Second)
		}
		b.Handle(topic.String(), signed[:len(signed)-1])
		b.Handle(topic.String(), make([]byte, schemas.MaxUp+1))
		b.Handle(topic.String(), nil)
		b.Handle("carillon/v1/car-1/down", signed)
		b.Handle("elsewhere", signed)
		b.Handle(schemas.UpTopic("car-2").String(), signed)
		time.Sleep(time.Minute)
		all, _ := car.all()
		for _, m := range all[heard:] {
			if r, ok := m.(*schemas.Refused); !ok || r.Code != schemas.UnknownKey {
				t.Errorf("answered with %+v", m)
			}
		}
		if s := op.Stats(); s.Rang != 0 {
			t.Error("a damaged message rang a phone")
		}
	})
}

// A revoked device is told so, whether it says hello or asks.
func TestRevoked(t *testing.T) {
	op := &cibatest.Provider{}
	inWorld(t, op, func(w *world) {
		revoked := false
		w.edit = func(c *bridge.Config) { c.Revoked = func(*x509.Certificate) bool { return revoked } }
		w.start()
		car := w.car("car-1")
		revoked = true
		car.refused(car.signIn("anna@example.com"), schemas.NotAllowed)
		car.refused(&schemas.Hello{ID: schemas.NewID(), IssuedAt: 1, Versions: schemas.Speaks()}, schemas.NotAllowed)
		if s := op.Stats(); s.Rang != 0 {
			t.Error("a revoked device rang a phone")
		}
		w.empty()
	})
}

// A device that is revoked while its request waits gets no token, whatever the
// person decides, and none is asked for.
func TestRevokedWhileWaiting(t *testing.T) {
	op := &cibatest.Provider{}
	inWorld(t, op, func(w *world) {
		op.OnRequest = func(r cibatest.Request) { time.AfterFunc(20*time.Second, func() { op.Approve(r.AuthReqID) }) }
		var bad atomic.Pointer[x509.Certificate]
		w.edit = func(c *bridge.Config) {
			c.Revoked = func(c *x509.Certificate) bool { return bad.Load() != nil && bad.Load().Equal(c) }
		}
		w.start()
		stolen, other := w.car("car-1"), w.car("car-2")
		a, b := stolen.signIn("anna@example.com"), other.signIn("bela@example.com")
		stolen.send(a)
		other.send(b)
		time.Sleep(10 * time.Second)
		bad.Store(stolen.signer.Chain()[0])
		w.stop() // what it knows then comes from the store
		w.start()
		stolen.use(w.ca.Device("car-1")) // the thief's receipt is not believed, a new owner's is
		stolen.hello()
		if r, ok := stolen.await(a.ID, time.Minute).(*schemas.Refused); !ok || r.Code != schemas.NotAllowed {
			t.Errorf("a revoked device was answered with %+v", stolen.final(a.ID))
		}
		if _, ok := other.await(b.ID, time.Minute).(*schemas.Granted); !ok {
			t.Errorf("another device was answered with %+v", other.final(b.ID))
		}
		if s := op.Stats(); s.Redeemed != 1 {
			t.Errorf("the provider issued %d tokens, want the other device's", s.Redeemed)
		}
	})
}

// A certificate that expires while it is in memory counts no more.
func TestExpiredDevice(t *testing.T) {
	inWorld(t, &cibatest.Provider{}, func(w *world) {
		w.start()
		car := w.device("car-1")
		car.use(w.ca.Issue(mtlstest.Leaf{Identity: mtls.Identity{Role: mtls.RoleDevice, ID: "car-1"}, NotAfter: time.Now().Add(time.Hour)}))
		car.hello()
		time.Sleep(time.Hour)
		car.refused(car.signIn("anna@example.com"), schemas.UnknownKey)
		if car.welcomed(schemas.Hello{}) != nil {
			t.Error("an expired device is welcomed")
		}
	})
}

func TestClockSkew(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		now := m.IssuedAt
		for _, iat := range []uint64{1, now - 301, now + 70} {
			m.IssuedAt = iat
			if r := car.refused(m, schemas.ClockSkew); r.IssuedAt < now || r.IssuedAt > now+5 {
				t.Errorf("the bridge says it is %d, want about %d", r.IssuedAt, now)
			}
		}
		m.IssuedAt = schemas.Seconds(time.Now())
		car.grant(m)
		if s := op.Stats(); s.Rang != 1 {
			t.Errorf("%d pushes", s.Rang)
		}
	})
}

// A device that floods is not listened to, and the others are.
func TestFlood(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second}
	inWorld(t, op, func(w *world) {
		w.start()
		loud, quiet := w.car("car-1"), w.car("car-2")
		for range 500 {
			loud.send(loud.signIn("anna@example.com"))
		}
		quiet.grant(quiet.signIn("bela@example.com"))
		if n := gathered(t, w.metrics, `carillon_bridge_messages_dropped_total{reason="too_fast"}`); n < 400 {
			t.Errorf("dropped %v of 500", n)
		}
		if n := w.count("requests"); n > 50 {
			t.Errorf("one device fills the store with %d rows", n)
		}
	})
}
