package schemas_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"time"
)

// The certificates that a receiver has to tell apart from good ones, and those
// at the bounds. Each is wrong in one way.

type change = func(*x509.Certificate)

func (r *keyring) addChains() {
	device, bridge := "device:"+string(device1), "bridge:b1"
	r.add("intermediate-2", "P-256", "intermediate", "", "a second authority below the intermediate")
	r.add("intermediate-3", "P-256", "intermediate-2", "", "a third")
	r.add("device-1-of-three", "P-256", "intermediate-2", device, "")
	r.add("device-1-of-four", "P-256", "intermediate-3", device, "")
	r.addLarge(device)

	r.add("intermediate-no-ca", "P-256", "root", "", "its basic constraints say that it is no authority", func(t *x509.Certificate) { t.IsCA = false })
	r.add("device-1-of-no-ca", "P-256", "intermediate-no-ca", device, "")
	r.add("intermediate-no-certsign", "P-256", "root", "", "its key usage lacks keyCertSign", usage(x509.KeyUsageCRLSign|x509.KeyUsageDigitalSignature))
	r.add("device-1-of-no-certsign", "P-256", "intermediate-no-certsign", device, "")
	r.add("intermediate-last", "P-256", "root", "", "path length 0: no authority below it", func(t *x509.Certificate) { t.MaxPathLenZero = true })
	r.add("intermediate-beyond-last", "P-256", "intermediate-last", "", "")
	r.add("device-1-too-long", "P-256", "intermediate-beyond-last", device, "")
	r.add("intermediate-critical", "P-256", "root", "", "has an unknown critical extension", critical)
	r.add("device-1-of-critical", "P-256", "intermediate-critical", device, "")
	r.add("intermediate-expired", "P-256", "root", "", "", until(issued-1))
	r.add("device-1-of-expired", "P-256", "intermediate-expired", device, "")
	r.add("bridge-of-expired", "P-256", "intermediate-expired", bridge, "")
	r.add("intermediate-short", "P-256", "root", "", "ends an hour after 1790000000", until(issued+3600))
	r.add("bridge-after-issuer", "P-256", "intermediate-short", bridge, "begins when its issuer has ended", from(issued+86400))

	r.add("root-namesake", "P-256", "root-namesake", "", "has the name of the root, and another key", named("Vectors root"))
	r.add("intermediate-namesake", "P-256", "root-namesake", "", "has the name and the key identifier of the intermediate, and another key",
		named("Vectors intermediate"), func(t *x509.Certificate) { t.SubjectKeyId = r.signing["intermediate"].cert.SubjectKeyId })
	r.add("device-1-forged", "P-256", "intermediate-namesake", device, "")
	r.add("bridge-forged", "P-256", "intermediate-namesake", bridge, "")
	r.add("device-1-self", "P-256", "device-1-self", device, "issued by itself")
	r.add("bridge-of-device", "P-256", "device-1", bridge, "issued by a device")
	r.addLeaves(device, bridge)
}

// addLeaves makes leaves of the intermediate.
func (r *keyring) addLeaves(device, bridge string) {
	leaf := func(name, identity, comment string, changes ...change) {
		r.add(name, "P-256", "intermediate", identity, comment, changes...)
	}
	leaf("device-1-no-eku", device, "no extended key usage", extended())
	leaf("device-1-server", device, "serverAuth", extended(x509.ExtKeyUsageServerAuth))
	leaf("device-1-no-signing", device, "its key usage lacks digitalSignature", usage(x509.KeyUsageKeyAgreement))
	leaf("device-1-other-name", device, "the common name is another device's id", named(string(device2)))
	leaf("device-1-no-name", device, "no common name", named(""))
	leaf("device-1-two-names", device, "two common names", func(t *x509.Certificate) {
		cn := asn1.ObjectIdentifier{2, 5, 4, 3}
		t.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: cn, Value: string(device1)}, {Type: cn, Value: string(device2)}}}
	})
	leaf("device-1-no-uri", device, "no URI", uris())
	leaf("device-1-two-uris", device, "two identities", uris("urn:carillon:device:"+string(device1), "urn:carillon:bridge:b1"))
	leaf("device-1-two-uris-case", device, "two identities, one of them in another case", uris("urn:carillon:device:"+string(device1), "URN:Carillon:bridge:b1"))
	leaf("device-1-odd-case", device, "urn:Carillon:", uris("urn:Carillon:device:"+string(device1)))
	leaf("device-1-role-case", device, "urn:carillon:Device:", uris("urn:carillon:Device:"+string(device1)))
	leaf("device-1-critical", device, "has an unknown critical extension", critical)
	leaf("device-1-expired", device, "", until(issued-1))
	leaf("device-1-last-second", device, "ends at 1790000000", until(issued))
	leaf("device-1-tomorrow", device, "begins a day after 1790000000", from(issued+86400))
	leaf("bridge-named-as-device", "bridge:"+string(device1), "a bridge whose id is that of device 1")
	leaf("bridge-no-eku", bridge, "no extended key usage", extended())
	leaf("bridge-server", bridge, "serverAuth", extended(x509.ExtKeyUsageServerAuth))
	leaf("bridge-expired", bridge, "", until(issued-1))
	leaf("bridge-tomorrow", "bridge:b3", "begins a day after 1790000000", from(issued+86400))
	r.add("bridge-p384", "P-384", "intermediate", "bridge:b4", "a curve that no algorithm of this format has")
	r.add("bridge-direct", "P-256", "root", "bridge:b5", "issued by the root")
}

// addLarge makes certificates of 2,048 bytes, and a chain that makes a hello
// exactly 8,192 bytes long.
func (r *keyring) addLarge(device string) {
	r.addSized("large-1", "root", "", 8192-helloOverhead-3*2048)
	r.addSized("large-2", "large-1", "", 2048)
	r.addSized("large-3", "large-2", "", 2048)
	r.addSized("device-1-large", "large-3", device, 2048)
	r.addSized("device-1-2048", "intermediate", device, 2048)
}

// helloOverhead is what a hello with a chain of four, and the name of a welcome,
// has besides the certificates: of the envelope 1, 3 + 16, 1, 2 + 33 and 66, and
// a head of 3 for each certificate.
const helloOverhead = 1 + 3 + 16 + 1 + 2 + 33 + 66 + 4*3

// addSized pads a certificate to a number of bytes. Its signature may be a byte
// or two shorter than usual, so it takes a few tries.
func (r *keyring) addSized(name, issuer, identity string, size int) {
	for pad, tries := size-400, 0; tries < 64; tries++ {
		r.add(name, "P-256", issuer, identity, "padded", func(t *x509.Certificate) {
			t.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 999, 1}, Value: make([]byte, pad)}}
			t.SerialNumber.Add(t.SerialNumber, big.NewInt(int64(tries)))
		})
		n := len(r.signing[name].cert.Raw)
		if n == size {
			return
		}
		pad += size - n
		r.names = r.names[:len(r.names)-1]
	}
	panic("no certificate of that size")
}

func at(s int64) time.Time         { return time.Unix(s, 0).UTC() }
func from(s int64) change          { return func(t *x509.Certificate) { t.NotBefore = at(s) } }
func until(s int64) change         { return func(t *x509.Certificate) { t.NotAfter = at(s) } }
func usage(u x509.KeyUsage) change { return func(t *x509.Certificate) { t.KeyUsage = u } }
func named(cn string) change       { return func(t *x509.Certificate) { t.Subject.CommonName = cn } }

func extended(u ...x509.ExtKeyUsage) change { return func(t *x509.Certificate) { t.ExtKeyUsage = u } }

func critical(t *x509.Certificate) {
	t.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 999, 2}, Critical: true, Value: []byte{5, 0}}}
}

// uris keeps the case of the scheme, which url.Parse would not.
func uris(all ...string) change {
	return func(t *x509.Certificate) {
		t.URIs = nil
		for _, s := range all {
			t.URIs = append(t.URIs, &url.URL{Scheme: s[:3], Opaque: s[4:]})
		}
	}
}
