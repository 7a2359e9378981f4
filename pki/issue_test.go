package pki_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// A certificate that was signed directly is the one that step-ca would have
// signed, and lives the same life afterwards.
func TestIssueIsTheSameProfile(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		id    mtls.Identity
		names []string
	}{
		{device("x1"), nil},
		{bridge("b1"), nil},
		{broker("mq"), []string{"mq.example.com", "192.0.2.1"}},
		{mtls.Identity{Role: mtls.RoleServer, ID: "s1"}, []string{"::1", "s1.example.com"}},
	} {
		signed := w.enroll(c.id, c.names...)
		chain, err := w.Issue(pki.IssueRequest{Identity: c.id, PublicKey: signed.key.Public(), Names: c.names})
		if err != nil {
			t.Fatal(err)
		}
		issued := enrolled{chain, signed.key}
		a, b := signed.leaf(), issued.leaf()
		if !bytes.Equal(a.RawSubject, b.RawSubject) || !bytes.Equal(a.RawIssuer, b.RawIssuer) || len(a.Extensions) != len(b.Extensions) {
			t.Errorf("%s: subject, issuer or number of extensions differ", c.id)
			continue
		}
		for i, ext := range a.Extensions {
			if got := b.Extensions[i]; !got.Id.Equal(ext.Id) || got.Critical != ext.Critical || !bytes.Equal(got.Value, ext.Value) {
				t.Errorf("%s: extension %d: %v %x, want %v %x", c.id, i, got.Id, got.Value, ext.Id, ext.Value)
			}
		}
		if d := a.NotAfter.Sub(a.NotBefore) - b.NotAfter.Sub(b.NotBefore); d < -2*time.Second || d > 2*time.Second {
			t.Errorf("%s: lives differ by %v", c.id, d)
		}
		renewed := mustRenew(t, w, issued)
		if _, err := w.RevokeSerial(t.Context(), b.SerialNumber, pki.ReasonKeyCompromise, ""); err != nil {
			t.Errorf("%s: %v", c.id, err)
		}
		w.wantRevoked(c.id.String(), []enrolled{issued, renewed, signed}, nil)
	}
}

func TestIssueErrors(t *testing.T) {
	w := newWorld(t, nil)
	key := mtlstest.Key(t).Public()
	for name, c := range map[string]struct {
		req  pki.IssueRequest
		want string
	}{
		"bad id":            {pki.IssueRequest{Identity: device("X"), PublicKey: key}, `"X"`},
		"device with hosts": {pki.IssueRequest{Identity: device("x1"), PublicKey: key, Names: []string{"a.example.com"}}, "carries no name but its identity"},
		"broker without":    {pki.IssueRequest{Identity: broker("mq"), PublicKey: key}, "needs a DNS name"},
		"no key":            {pki.IssueRequest{Identity: device("x1")}, "key of type"},
		"too long":          {pki.IssueRequest{Identity: device("x1"), PublicKey: key, Lifetime: 1000 * day}, "life of"},
	} {
		_, err := w.Issue(c.req)
		wantError(t, name, err, c.want)
	}
	if holders, err := w.List(t.Context(), pki.Filter{}); err != nil || len(holders) != 0 {
		t.Errorf("refused requests were recorded: %v, %v", holders, err)
	}
}

// Thousands at once, some of them for the same device, all of them recorded.
func TestIssueAll(t *testing.T) {
	w := newWorld(t, nil)
	const n = 1200
	key := mtlstest.Key(t).Public()
	var reqs []pki.IssueRequest
	for i := range n {
		reqs = append(reqs, pki.IssueRequest{Identity: device(fmt.Sprintf("x%d", i%(n-100))), PublicKey: key})
	}
	reqs = append(reqs, pki.IssueRequest{Identity: bridge("b1"), PublicKey: key})
	start := time.Now()
	chains, err := w.IssueAll(reqs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d certificates in %v", len(chains), time.Since(start).Round(time.Millisecond))
	for i, chain := range chains {
		if id, err := mtls.IdentityOf(chain[0]); err != nil || id != reqs[i].Identity {
			t.Fatalf("certificate %d is for %v (%v), want %v", i, id, err, reqs[i].Identity)
		}
	}
	holders, err := w.List(t.Context(), pki.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, h := range holders {
		count += len(h.Certificates)
	}
	if len(holders) != n-100+1 || count != n+1 {
		t.Errorf("%d holders with %d certificates, want %d and %d", len(holders), count, n-100+1, n+1)
	}
	if serials, err := w.Revoke(t.Context(), device("x7"), pki.ReasonUnspecified, ""); err != nil || len(serials) != 2 {
		t.Errorf("revoked %q, %v, want both certificates of x7", serials, err)
	}
	// One revoked device in the batch: the batch is refused as a whole.
	if _, err := w.IssueAll(reqs[:20]); err == nil {
		t.Error("issued for a revoked device")
	}
}

func BenchmarkIssueAll(b *testing.B) {
	a, err := pki.Open(pki.Config{Dir: b.TempDir(), Create: &pki.Options{URL: "https://localhost"}})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	key := mtlstest.Key(b).Public()
	const batch = 1000
	reqs := make([]pki.IssueRequest, batch)
	i := 0
	for b.Loop() {
		for j := range reqs {
			reqs[j] = pki.IssueRequest{Identity: device(fmt.Sprintf("x%d", i)), PublicKey: key}
			i++
		}
		if _, err := a.IssueAll(reqs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "certificates/s")
}
