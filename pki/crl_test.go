package pki_test

import (
	"crypto/x509"
	"testing"

	"github.com/carillon-iot/carillon/pki"
)

// The list is about every certificate of the intermediate, to everybody: it has
// no critical extension, such as a distribution point that certificates would
// have to name too, whoever made step-ca make it.
func TestListIsAboutEverybody(t *testing.T) {
	w := newWorld(t, nil)
	first, second, third := w.enroll(device("x1")), w.enroll(device("x2")), w.enroll(device("x3"))
	check := func(when string, size int) {
		t.Helper()
		der, err := w.client.CRL(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := list.CheckSignatureFrom(w.Intermediate()); err != nil || list.Number == nil || len(list.RevokedCertificateEntries) != size {
			t.Errorf("%s: %v, number %v, %d entries, want %d", when, err, list.Number, len(list.RevokedCertificateEntries), size)
		}
		for _, e := range list.Extensions {
			if e.Critical || e.Id.String() == "2.5.29.28" {
				t.Errorf("%s: the list has the extension %v, critical %v", when, e.Id, e.Critical)
			}
		}
	}
	check("made at the start", 0)
	if _, err := w.Revoke(t.Context(), device("x1"), pki.ReasonUnspecified, ""); err != nil {
		t.Fatal(err)
	}
	check("made by Revoke", 1)
	if _, err := w.RevokeSerial(t.Context(), second.leaf().SerialNumber, pki.ReasonKeyCompromise, ""); err != nil {
		t.Fatal(err)
	}
	check("made by RevokeSerial", 2)
	body := map[string]any{"serial": third.leaf().SerialNumber.String(), "passive": true}
	if status, answer := w.post("/1.0/revoke", body, third.tls(t)); status != 200 {
		t.Fatalf("a device could not revoke itself: %d %v", status, answer)
	}
	check("made by step-ca itself", 3)
	for _, e := range []enrolled{first, mustRenew(t, w, w.enroll(device("x4")))} {
		if dp := e.leaf().CRLDistributionPoints; len(dp) > 0 {
			t.Errorf("%s names the distribution points %q: bytes on the radio", e.leaf().Subject, dp)
		}
	}
}
