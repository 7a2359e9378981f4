package cmd

import (
	"context"
	"crypto/tls"
	"log"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// A provider that sends each answer twice has net/http write the second one to
// the standard logger.
func TestStandardLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written strings.Builder
		log.SetOutput(unquoted{&written})
		defer log.SetOutput(os.Stderr)
		op := &cibatest.Provider{Wires: cibatest.EachWire(0, cibatest.Twice()), AutoApprove: time.Second}
		hc := ciba.NewHTTPClient(&tls.Config{RootCAs: op.Roots()})
		hc.Transport.(*http.Transport).DialContext = op.DialContext
		client, err := ciba.New(ciba.Config{
			Issuer: op.IssuerURL(), ClientID: cibatest.ClientID, Auth: ciba.ClientSecretBasic(cibatest.ClientSecret), HTTPClient: hc,
		})
		if err != nil {
			t.Fatal(err)
		}
		ack, err := client.RequestAuthentication(t.Context(), ciba.AuthenticationRequest{Scope: []string{"openid"}, LoginHint: "anna@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Wait(context.Background(), ack, ciba.Expect{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		hc.CloseIdleConnections()
		synctest.Wait()
		if !strings.Contains(written.String(), "Unsolicited response") {
			t.Fatalf("net/http has written %q: this test sees nothing", written.String())
		}
		for _, secret := range op.Secrets() {
			if strings.Contains(written.String(), secret) {
				t.Errorf("%q is in the log:\n%s", secret, written.String())
			}
		}
	})
}
