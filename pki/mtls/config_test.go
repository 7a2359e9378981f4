package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

const host = "broker.example.com"

// handshake connects client and server in memory and returns what each end
// thinks of it. In TLS 1.3 a client learns of its refusal when it reads.
func handshake(client, server *tls.Config) (state tls.ConnectionState, clientErr, serverErr error) {
	c, s := net.Pipe()
	done := make(chan error, 1)
	conn := tls.Server(s, server)
	go func() {
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("."))
		}
		_ = s.Close()
		done <- err
	}()
	cc := tls.Client(c, client)
	if clientErr = cc.Handshake(); clientErr == nil {
		_, clientErr = io.ReadFull(cc, make([]byte, 1))
	}
	_ = c.Close()
	serverErr = <-done
	return conn.ConnectionState(), clientErr, serverErr
}

func TestHandshake(t *testing.T) {
	ca, stranger := mtlstest.New(t), mtlstest.New(t)
	x1 := mtls.Identity{Role: mtls.RoleDevice, ID: "x1"}
	good := mtls.Fixed(ca.Device("x1"))
	revokedCert := ca.Device("x2")
	revoked := func(c *x509.Certificate) bool { return c.SerialNumber.Cmp(revokedCert.Leaf.SerialNumber) == 0 }
	server := mtls.ServerConfig(ca.Roots(), mtls.Fixed(ca.Broker(host)), revoked)

	state, cerr, serr := handshake(mtls.ClientConfig(ca.Roots(), good, host), server)
	if cerr != nil || serr != nil {
		t.Fatalf("handshake failed: client %v, server %v", cerr, serr)
	}
	if state.Version != tls.VersionTLS13 {
		t.Errorf("version %x, want TLS 1.3", state.Version)
	}
	if id, err := mtls.PeerIdentity(state); err != nil || id != x1 {
		t.Errorf("PeerIdentity = %v, %v", id, err)
	}

	oldTLS := mtls.ClientConfig(ca.Roots(), good, host)
	oldTLS.MinVersion, oldTLS.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for _, c := range []struct {
		name   string
		client *tls.Config
		server *tls.Config
		want   string // in either error
	}{
		{"no client certificate", mtls.ClientConfig(ca.Roots(), nil, host), server, "didn't provide a certificate"},
		{"certificate of a stranger", mtls.ClientConfig(ca.Roots(), mtls.Fixed(stranger.Device("x1")), host), server, "unknown authority"},
		{"expired", mtls.ClientConfig(ca.Roots(), mtls.Fixed(ca.Expired(x1)), host), server, "expired"},
		{"revoked", mtls.ClientConfig(ca.Roots(), mtls.Fixed(revokedCert), host), server, "has been revoked"},
		{"server certificate as client", mtls.ClientConfig(ca.Roots(), mtls.Fixed(ca.Broker(host)), host), server, "incompatible key usage"},
		{"device as server", mtls.ClientConfig(ca.Roots(), good, host), mtls.ServerConfig(ca.Roots(), mtls.Fixed(ca.Issue(mtlstest.Leaf{Identity: x1, Hosts: []string{host}})), nil), "incompatible key usage"},
		{"other server name", mtls.ClientConfig(ca.Roots(), good, "other.example.com"), server, "not other.example.com"},
		{"server of a stranger", mtls.ClientConfig(stranger.Roots(), good, host), server, "unknown authority"},
		{"no roots at the client", mtls.ClientConfig(nil, good, host), server, "unknown authority"},
		{"no roots at the server", mtls.ClientConfig(ca.Roots(), good, host), mtls.ServerConfig(nil, mtls.Fixed(ca.Broker(host)), nil), "unknown authority"},
		{"TLS 1.2", oldTLS, server, "protocol version"},
		{"no certificate yet", mtls.ClientConfig(ca.Roots(), mtls.Fixed(nil), host), server, "there is none yet"},
		{"certificate function fails", mtls.ClientConfig(ca.Roots(), func() (*tls.Certificate, error) { return nil, errors.New("TPM is locked") }, host), server, "TPM is locked"},
	} {
		_, cerr, serr := handshake(c.client, c.server)
		if cerr == nil || serr == nil {
			t.Errorf("%s: client %v, server %v, want both to fail", c.name, cerr, serr)
		} else if both := cerr.Error() + serr.Error(); !strings.Contains(both, c.want) {
			t.Errorf("%s: errors %q and %q, want %q in one", c.name, cerr, serr, c.want)
		}
	}
}

func TestRequireRole(t *testing.T) {
	ca := mtlstest.New(t)
	device := mtls.Fixed(ca.Device("x1"))
	broker := mtls.ServerConfig(ca.Roots(), mtls.Fixed(ca.Broker(host)), nil)
	settings := mtls.ServerConfig(ca.Roots(), mtls.Fixed(ca.Server(host)), nil)
	wantBroker := mtls.RequireRole(mtls.ClientConfig(ca.Roots(), device, host), mtls.RoleBroker)

	if _, cerr, serr := handshake(wantBroker, broker); cerr != nil || serr != nil {
		t.Errorf("broker refused: %v, %v", cerr, serr)
	}
	if _, cerr, _ := handshake(wantBroker, settings); cerr == nil || !strings.Contains(cerr.Error(), `has the role "server"`) {
		t.Errorf("a settings server passed for a broker: %v", cerr)
	}
	onlyBridges := mtls.RequireRole(broker, mtls.RoleBridge)
	if _, _, serr := handshake(wantBroker, onlyBridges); serr == nil || !strings.Contains(serr.Error(), `has the role "device"`) {
		t.Errorf("a device passed for a bridge: %v", serr)
	}
	if mtls.RequireRole(broker, mtls.RoleBridge) == broker || broker.VerifyConnection != nil {
		t.Error("RequireRole changed the configuration it was given")
	}
}

// A certificate function is asked at each handshake, at both ends.
func TestRotation(t *testing.T) {
	ca := mtlstest.New(t)
	current, serverCert := ca.Device("x1"), ca.Broker(host)
	client := mtls.ClientConfig(ca.Roots(), func() (*tls.Certificate, error) { return current, nil }, host)
	server := mtls.ServerConfig(ca.Roots(), func() (*tls.Certificate, error) { return serverCert, nil }, nil)
	for range 3 {
		state, cerr, serr := handshake(client, server)
		if cerr != nil || serr != nil {
			t.Fatalf("handshake failed: %v, %v", cerr, serr)
		}
		if got := state.PeerCertificates[0]; !got.Equal(current.Leaf) {
			t.Errorf("server saw serial %v, want %v", got.SerialNumber, current.Leaf.SerialNumber)
		}
		current, serverCert = ca.Device("x1"), ca.Broker(host)
	}
}

// A client that would resume its session is made to show its certificate again,
// so a revocation takes effect at the next connection.
func TestNoResumption(t *testing.T) {
	ca := mtlstest.New(t)
	revoked := false
	server := mtls.ServerConfig(ca.Roots(), mtls.Fixed(ca.Broker(host)), func(*x509.Certificate) bool { return revoked })
	client := mtls.ClientConfig(ca.Roots(), mtls.Fixed(ca.Device("x1")), host)
	client.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	for range 2 {
		state, cerr, serr := handshake(client, server)
		if cerr != nil || serr != nil || state.DidResume {
			t.Fatalf("resumed %v, errors %v, %v", state.DidResume, cerr, serr)
		}
	}
	revoked = true
	if _, cerr, serr := handshake(client, server); cerr == nil || serr == nil {
		t.Error("a revoked client connected again")
	}
}

// The bubble's clock begins in 2000; the authority is of the year after, as for
// a vehicle that wakes up with its clock at zero.
func TestTolerateClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wokeUp := time.Now()
		time.Sleep(365 * 24 * time.Hour)
		ca := mtlstest.New(t)
		cert := ca.Device("x1")
		time.Sleep(24 * time.Hour)
		server := mtls.ServerConfig(ca.Roots(), mtls.Fixed(ca.Broker(host)), nil)
		plain := mtls.ClientConfig(ca.Roots(), mtls.Fixed(cert), host)
		plain.Time = func() time.Time { return wokeUp }
		if _, cerr, _ := handshake(plain, server); cerr == nil {
			t.Fatal("a clock of last year was no problem: the test proves nothing")
		}

		at := func(now time.Time) *tls.Config {
			return mtls.TolerateClock(mtls.ClientConfig(ca.Roots(), mtls.Fixed(cert), host), func() time.Time { return now })
		}
		if _, cerr, serr := handshake(at(wokeUp), server); cerr != nil || serr != nil {
			t.Errorf("slow clock: client %v, server %v", cerr, serr)
		}
		if _, cerr, _ := handshake(at(time.Now().Add(60*24*time.Hour)), server); cerr == nil || !strings.Contains(cerr.Error(), "expired") {
			t.Errorf("expired server certificate accepted: %v", cerr)
		}
		// Everything else is verified as ever.
		stranger := mtlstest.New(t)
		x1 := mtls.Identity{Role: mtls.RoleDevice, ID: "x1"}
		for name, c := range map[string]*tls.Certificate{
			"authority":  stranger.Broker(host),
			"host":       ca.Broker("other.example.com"),
			"key usage":  ca.Issue(mtlstest.Leaf{Identity: x1, Hosts: []string{host}}),
			"signature":  forged(t, ca.Broker(host), stranger.Broker(host)),
			"expiration": ca.Issue(mtlstest.Leaf{Identity: x1, Hosts: []string{host}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: wokeUp.Add(-time.Hour)}),
		} {
			if _, cerr, _ := handshake(at(wokeUp), mtls.ServerConfig(ca.Roots(), mtls.Fixed(c), nil)); cerr == nil {
				t.Errorf("server with the wrong %s accepted", name)
			}
		}
		noName := mtls.TolerateClock(mtls.ClientConfig(ca.Roots(), mtls.Fixed(cert), ""), nil)
		if _, cerr, _ := handshake(noName, server); cerr == nil {
			t.Error("a configuration without a server name verified nothing and said nothing")
		}
		noName.ServerName = host // as a dialer does
		if _, cerr, serr := handshake(noName, server); cerr != nil || serr != nil {
			t.Errorf("server name filled in later: %v, %v", cerr, serr)
		}
		noName.ServerName = "other.example.com"
		if _, cerr, _ := handshake(noName, server); cerr == nil {
			t.Error("another server name, filled in later, was not verified")
		}
		if got := mtls.Floor(wokeUp, cert.Leaf); !got.Equal(cert.Leaf.NotBefore) {
			t.Errorf("Floor = %v, want the NotBefore %v", got, cert.Leaf.NotBefore)
		}
	})
}

// forged shows the certificate of one with the key of another.
func forged(t *testing.T, cert, key *tls.Certificate) *tls.Certificate {
	t.Helper()
	return &tls.Certificate{Certificate: cert.Certificate, PrivateKey: key.PrivateKey, Leaf: cert.Leaf}
}
