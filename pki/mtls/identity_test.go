package mtls_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// wrongIdentities are texts that are nearly an identity.
var wrongIdentities = []string{
	"",
	"urn:carillon:",
	"urn:carillon:device",
	"urn:carillon:device:",
	"urn:carillon::x1",
	"urn:carillon:root:x1",
	"urn:carillon:Device:x1",
	"URN:carillon:device:x1",
	"urn:Carillon:device:x1",
	"urn:carillon:device:X1",
	"urn:carillon:device:x1 ",
	"urn:carillon:device:x1:x2",
	"urn:carillon:device:x1/up",
	"urn:carillon:device:x1?role=bridge",
	"urn:carillon:device:x1#",
	"urn:carillon:device:+",
	"urn:carillon:device:#",
	"urn:carillon:device:x1\n",
	"urn:carillon:device:x%31",
	"urn:carillon:device:é",
	"urn:carillon:device:" + strings.Repeat("a", 65),
	"spiffe://carillon/device/x1",
}

func TestParseIdentity(t *testing.T) {
	for _, role := range mtls.Roles() {
		want := mtls.Identity{Role: role, ID: "a-0" + strings.Repeat("z", 61)}
		got, err := mtls.ParseIdentity(want.String())
		if err != nil || got != want {
			t.Errorf("ParseIdentity(%q) = %v, %v", want, got, err)
		}
		if want.URI().String() != want.String() {
			t.Errorf("URI() = %q, want %q", want.URI(), want)
		}
	}
	for _, s := range wrongIdentities {
		if got, err := mtls.ParseIdentity(s); err == nil || got != (mtls.Identity{}) {
			t.Errorf("ParseIdentity(%q) = %v, %v, want an error and nothing", s, got, err)
		}
	}
}

func FuzzParseIdentity(f *testing.F) {
	seeds := append([]string{"urn:carillon:device:x1", "urn:carillon:bridge:b-1"}, wrongIdentities...)
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := mtls.ParseIdentity(s)
		if err != nil {
			if id != (mtls.Identity{}) {
				t.Fatalf("ParseIdentity(%q) failed and returned %v", s, id)
			}
			return
		}
		if id.String() != s {
			t.Fatalf("ParseIdentity(%q) reads as %q: two spellings of one identity", s, id)
		}
		if u, err := url.Parse(s); err != nil || u.String() != s {
			t.Fatalf("identity %q is not a stable URI: %v, %v", s, u, err)
		}
		if strings.ContainsAny(id.ID, "/+#:$ ") {
			t.Fatalf("id %q contains a character that means something in a topic", id.ID)
		}
	})
}

func TestIdentityOf(t *testing.T) {
	ca := mtlstest.New(t)
	x1 := mtls.Identity{Role: mtls.RoleDevice, ID: "x1"}
	spiffe := &url.URL{Scheme: "spiffe", Host: "example.com", Path: "/x1"}

	good := ca.Issue(mtlstest.Leaf{Identity: x1, URIs: []*url.URL{spiffe, x1.URI()}}).Leaf
	if got, err := mtls.IdentityOf(good); err != nil || got != x1 {
		t.Errorf("IdentityOf = %v, %v, want %v", got, err, x1)
	}

	b1 := mtls.Identity{Role: mtls.RoleBridge, ID: "x1"}
	for _, c := range []struct {
		name, want string
		leaf       mtlstest.Leaf
	}{
		{"no URI of ours", "carries no urn:carillon: URI", mtlstest.Leaf{Identity: x1, URIs: []*url.URL{spiffe}}},
		{"two roles at once", "carries 2 urn:carillon: URIs", mtlstest.Leaf{Identity: x1, URIs: []*url.URL{x1.URI(), b1.URI()}}},
		{"the same URI twice", "carries 2 urn:carillon: URIs", mtlstest.Leaf{Identity: x1, URIs: []*url.URL{x1.URI(), x1.URI()}}},
		{"a second one in other letters", "carries 2 urn:carillon: URIs",
			mtlstest.Leaf{Identity: x1, URIs: []*url.URL{x1.URI(), {Scheme: "urn", Opaque: "CARILLON:bridge:x1"}}}},
		{"other letters alone", "does not begin with", mtlstest.Leaf{Identity: x1, URIs: []*url.URL{{Scheme: "urn", Opaque: "Carillon:device:x1"}}}},
		{"another common name", `common name "x2" is not the id "x1"`, mtlstest.Leaf{Identity: x1, CommonName: "x2"}},
		{"unknown role", `role "root" is none of`, mtlstest.Leaf{Identity: mtls.Identity{Role: "root", ID: "x1"}}},
	} {
		got, err := mtls.IdentityOf(ca.Issue(c.leaf).Leaf)
		if err == nil || !strings.Contains(err.Error(), c.want) || got != (mtls.Identity{}) {
			t.Errorf("%s: IdentityOf = %v, %v, want an error with %q", c.name, got, err, c.want)
		}
	}
}

// A library that takes the first common name and one that takes the last must
// not see different devices.
func TestIdentityOfTwoCommonNames(t *testing.T) {
	x1 := mtls.Identity{Role: mtls.RoleDevice, ID: "x1"}
	name := func(cn string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: []int{2, 5, 4, 3}, Value: cn}
	}
	cert := &x509.Certificate{
		URIs:    []*url.URL{x1.URI()},
		Subject: pkix.Name{CommonName: "x1", Names: []pkix.AttributeTypeAndValue{name("x2"), name("x1")}},
	}
	if _, err := mtls.IdentityOf(cert); err == nil || !strings.Contains(err.Error(), "2 common names") {
		t.Errorf("IdentityOf accepted two common names: %v", err)
	}
}

func TestClientIDsNeverCollide(t *testing.T) {
	for id, want := range map[mtls.Identity]string{
		{Role: mtls.RoleDevice, ID: "eu-1"}: "eu-1",
		{Role: mtls.RoleBridge, ID: "eu-1"}: "bridge:eu-1",
	} {
		if got := id.ClientID(); got != want {
			t.Errorf("ClientID(%s) = %q, want %q", id, got, want)
		}
	}
}
