package pki_test

import (
	"crypto/x509"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// years opens an authority on the clock of a bubble, without a network.
func years(t *testing.T, test func(t *testing.T, reopen func() *pki.Authority)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var a *pki.Authority
		closeIt := func() {
			if a != nil {
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		defer func() { closeIt() }()
		test(t, func() *pki.Authority {
			closeIt()
			var err error
			a, err = pki.Open(pki.Config{Dir: dir, Create: &pki.Options{URL: "https://pki.example.com"}, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			return a
		})
	})
}

// The authority's own certificate is made anew before it ends, without anybody
// doing anything.
func TestOwnCertificateIsRenewed(t *testing.T) {
	years(t, func(t *testing.T, reopen func() *pki.Authority) {
		a := reopen()
		show := func() *x509.Certificate {
			t.Helper()
			c, err := a.OwnCertificate()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Leaf.Verify(x509.VerifyOptions{
				Roots: a.Roots(), Intermediates: mtls.Pool(a.Intermediate()), DNSName: "pki.example.com", CurrentTime: time.Now(),
			}); err != nil {
				t.Errorf("after %v: %v", time.Since(c.Leaf.NotBefore), err)
			}
			return c.Leaf
		}
		first := show()
		time.Sleep(4 * day)
		if !show().Equal(first) {
			t.Error("renewed after 4 of 7 days")
		}
		time.Sleep(day)
		if show().Equal(first) {
			t.Error("not renewed after 5 of 7 days")
		}
		for range 50 {
			time.Sleep(6 * day)
			show()
		}
	})
}

// Whoever asks for the list gets one that is fresh, and that does not forget.
func TestListStaysFresh(t *testing.T) {
	years(t, func(t *testing.T, reopen func() *pki.Authority) {
		a := reopen()
		chain, err := a.Issue(pki.IssueRequest{Identity: device("x1"), PublicKey: mtlstest.Key(t).Public()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Revoke(t.Context(), device("x1"), pki.ReasonUnspecified, ""); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			time.Sleep(13 * time.Hour)
			der, err := a.CRL()
			if err != nil {
				t.Fatal(err)
			}
			list, err := x509.ParseRevocationList(der)
			if err != nil {
				t.Fatal(err)
			}
			if age := time.Since(list.ThisUpdate); age > time.Hour || time.Until(list.NextUpdate) < 22*time.Hour {
				t.Fatalf("a list of %v, good until %v", age, list.NextUpdate)
			}
			if listed := len(list.RevokedCertificateEntries) == 1; listed != time.Now().Before(chain[0].NotAfter.Add(time.Hour)) {
				t.Fatalf("on the list: %v, %v after the end of the certificate", listed, time.Since(chain[0].NotAfter))
			}
		}
		before, _ := a.CRL()
		time.Sleep(10 * time.Minute)
		if after, _ := a.CRL(); string(before) != string(after) {
			t.Error("a new list every ten minutes")
		}
	})
}

// Certificates end with the intermediate that signed them.
func TestIntermediateEnds(t *testing.T) {
	years(t, func(t *testing.T, reopen func() *pki.Authority) {
		a := reopen()
		time.Sleep(time.Until(a.Intermediate().NotAfter) - 10*day)
		chain, err := a.Issue(pki.IssueRequest{Identity: device("x1"), PublicKey: mtlstest.Key(t).Public()})
		if err != nil {
			t.Fatal(err)
		}
		if !chain[0].NotAfter.Equal(a.Intermediate().NotAfter) {
			t.Errorf("good until %v, the intermediate until %v", chain[0].NotAfter, a.Intermediate().NotAfter)
		}
	})
}

// A used token is remembered for as long as it could be used again.
func TestSpentTokensAreForgotten(t *testing.T) {
	years(t, func(t *testing.T, reopen func() *pki.Authority) {
		a := reopen()
		for _, want := range []bool{true, false} {
			if fresh, err := a.UseToken("one"); err != nil || fresh != want {
				t.Fatalf("UseToken = %v, %v, want %v", fresh, err, want)
			}
		}
		time.Sleep(30 * day)
		a = reopen()
		if n, err := a.SpentTokens(); err != nil || n != 1 {
			t.Errorf("%d used tokens after 30 days, %v, want 1", n, err)
		}
		time.Sleep(2 * day)
		a = reopen()
		if n, err := a.SpentTokens(); err != nil || n != 0 {
			t.Errorf("%d used tokens after 32 days, %v, want 0", n, err)
		}
	})
}

// An expired certificate that was renewed no more does not make its holder
// unknown, and a revocation reaches it after a year.
func TestLongParked(t *testing.T) {
	years(t, func(t *testing.T, reopen func() *pki.Authority) {
		a := reopen()
		key := mtlstest.Key(t)
		chain, err := a.Issue(pki.IssueRequest{Identity: device("x1"), PublicKey: key.Public()})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * day)
		if err := a.VerifyHolder(chain, time.Now()); err != nil {
			t.Errorf("a car that was parked for 300 days cannot renew: %v", err)
		}
		if _, err := a.Revoke(t.Context(), device("x1"), pki.ReasonUnspecified, ""); err != nil {
			t.Fatal(err)
		}
		if err := a.Reinstate(t.Context(), device("x1"), false); err != nil {
			t.Fatal(err)
		}
		_, err = a.Issue(pki.IssueRequest{Identity: device("x1"), PublicKey: key.Public()})
		wantError(t, "the old key", err, "the key has been revoked")
		time.Sleep(200 * day)
		if err := a.VerifyHolder(chain, time.Now()); err == nil {
			t.Error("a car that was parked for 500 days can renew")
		}
	})
}
