package mtlstest_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// What is minted inside a bubble is valid on the clock of the bubble, and for
// what its role does, and for nothing else.
func TestMint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := mtlstest.New(t)
		verify := func(c *tls.Certificate, usage x509.ExtKeyUsage) error {
			_, err := c.Leaf.Verify(x509.VerifyOptions{
				Roots:         ca.Roots(),
				Intermediates: mtls.Pool(ca.Intermediate),
				KeyUsages:     []x509.ExtKeyUsage{usage},
				CurrentTime:   time.Now(),
			})
			return err
		}
		const client, server = x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth
		for _, c := range []struct {
			cert      *tls.Certificate
			want      string
			can, cant x509.ExtKeyUsage
		}{
			{ca.Device("x1"), "urn:carillon:device:x1", client, server},
			{ca.Bridge("b1"), "urn:carillon:bridge:b1", client, server},
			{ca.Broker("localhost", "127.0.0.1"), "urn:carillon:broker:broker", server, client},
			{ca.Server("::1"), "urn:carillon:server:server", server, client},
		} {
			if id, err := mtls.IdentityOf(c.cert.Leaf); err != nil || id.String() != c.want {
				t.Errorf("identity %v, %v, want %s", id, err, c.want)
			}
			if err := verify(c.cert, c.can); err != nil {
				t.Errorf("%s: %v", c.want, err)
			}
			if err := verify(c.cert, c.cant); err == nil {
				t.Errorf("%s is good for both ends of a connection", c.want)
			}
		}
		if err := verify(ca.Expired(mtls.Identity{Role: mtls.RoleDevice, ID: "x1"}), client); err == nil {
			t.Error("an expired certificate is valid")
		}
	})
}

func BenchmarkDevice(b *testing.B) {
	ca := mtlstest.New(b)
	for b.Loop() {
		ca.Device("x1")
	}
}
