package broker_test

import (
	"crypto/x509"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/broker/brokertest"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

var clientAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}

func uris(ids ...mtls.Identity) []*url.URL {
	list := []*url.URL{}
	for _, id := range ids {
		list = append(list, id.URI())
	}
	return list
}

// revocable starts a broker that takes one certificate, at a time, for revoked.
func revocable(t *testing.T) (*brokertest.Broker, *atomic.Pointer[x509.Certificate]) {
	t.Helper()
	bad := new(atomic.Pointer[x509.Certificate])
	b := brokertest.Start(t, mtlstest.New(t), func(c *broker.Config) {
		c.Revoked = func(cert *x509.Certificate) bool { r := bad.Load(); return r != nil && r.Equal(cert) }
	})
	return b, bad
}

func TestRevokedAtTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, bad := revocable(t)
		cert := b.Authority.Device("d1")
		bad.Store(leafOf(t, cert))
		conn, err := b.Dialer(mtls.Fixed(cert))(t.Context())
		if err == nil {
			if code := (&client{t, conn}).hello("d1"); code != ended {
				t.Errorf("CONNACK code %d", code)
			}
			conn.Close()
		}
		connect(t, b, b.Authority.Device("d1")) // a new certificate of the same device
	})
}

// A certificate that is revoked, or expires, during a connection is worth
// nothing from then on, however the connection is used.
func TestCertificateEndsDuringAConnection(t *testing.T) {
	const life = 10 * time.Minute
	for _, how := range []string{"revoked", "expired"} {
		for name, use := range map[string]func(t *testing.T, c, bridge *client){
			"publishing": func(t *testing.T, c, bridge *client) {
				c.send(message("carillon/v1/d1/up", "too late"))
				if got := bridge.delivered(); got != "" {
					t.Errorf("the bridge received %q", got)
				}
			},
			"receiving": func(t *testing.T, c, bridge *client) {
				if !bridge.publish("carillon/v1/d1/down", "too late") {
					t.Error("the bridge is not served")
				}
				if got := c.delivered(); got != "" {
					t.Errorf("the device received %q", got)
				}
			},
			"idling": func(t *testing.T, c, bridge *client) { time.Sleep(time.Minute) },
		} {
			synctest.Test(t, func(t *testing.T) {
				b, bad := revocable(t)
				cert := b.Authority.Issue(mtlstest.Leaf{
					Identity: mtls.Identity{Role: mtls.RoleDevice, ID: "d1"},
					NotAfter: time.Now().Add(life),
				})
				bridge := connect(t, b, b.Authority.Bridge("b1"))
				bridge.subscribe("$share/bridge/carillon/v1/+/up")
				c := secure(t, b, cert)
				c.hello("d1")
				c.subscribe("carillon/v1/d1/down")
				if !c.publish("carillon/v1/d1/up", "in time") || bridge.delivered() != "in time" {
					t.Error("not served while the certificate was good")
				}
				if how == "revoked" {
					bad.Store(leafOf(t, cert))
				} else {
					untilExpired(t, leafOf(t, cert), c, bridge)
				}
				use(t, c, bridge)
				if !c.over(time.Second) {
					t.Errorf("%s, %s: still connected", how, name)
				}
				synctest.Wait()
				s := b.Broker().Stats()
				if s.Devices != 0 || s.Revoked+s.Expired != 1 || (s.Revoked == 1) != (how == "revoked") {
					t.Errorf("%s, %s: stats %+v", how, name, s)
				}
			})
		}
	}
}

// untilExpired keeps clients alive until a certificate has just expired.
func untilExpired(t *testing.T, cert *x509.Certificate, clients ...*client) {
	t.Helper()
	for time.Until(cert.NotAfter) >= 0 {
		for _, c := range clients {
			if !c.alive() {
				t.Fatal("disconnected before the certificate expired")
			}
		}
		time.Sleep(min(30*time.Second, time.Until(cert.NotAfter)+time.Millisecond))
	}
}

// A revocation list that calls Sweep ends idle connections at once.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, bad := revocable(t)
		cert := b.Authority.Device("d1")
		c, other := connect(t, b, cert), connect(t, b, b.Authority.Device("d2"))
		bad.Store(leafOf(t, cert))
		b.Broker().Sweep()
		if !c.over(0) && !c.over(time.Millisecond) {
			t.Error("still connected")
		}
		if !other.alive() {
			t.Error("the sweep was too thorough")
		}
	})
}

// A defect costs the connection that runs into it.
func TestPanicEndsOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var armed atomic.Bool
		b := brokertest.Start(t, mtlstest.New(t), func(c *broker.Config) {
			c.Revoked = func(cert *x509.Certificate) bool {
				if armed.Load() && cert.Subject.CommonName == "d1" {
					panic("a defect")
				}
				return false
			}
		})
		cert := b.Authority.Device("d1")
		c, other := connect(t, b, cert), connect(t, b, b.Authority.Device("d2"))
		c.subscribe("carillon/v1/d1/down")
		armed.Store(true)
		c.send(message("carillon/v1/d1/up", "boom"))
		if !c.over(time.Second) {
			t.Error("still connected")
		}
		armed.Store(false)
		if !other.alive() {
			t.Error("others lost their connection")
		}
		c = connect(t, b, cert)
		bridge := connect(t, b, b.Authority.Bridge("b1"))
		bridge.publish("carillon/v1/d1/down", "stale subscription")
		if got := c.delivered(); got != "" {
			t.Errorf("a subscription was left over: %q", got)
		}
		c.subscribe("carillon/v1/d1/down")
		bridge.publish("carillon/v1/d1/down", "hello")
		if got := c.delivered(); got != "hello" {
			t.Errorf("received %q", got)
		}
		if s := b.Broker().Stats(); s.Panics != 1 || s.Devices != 2 {
			t.Errorf("stats %+v", s)
		}
	})
}
