package schemas_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// The keys of the vectors, all derived from their names.

const (
	device1 = schemas.DeviceID("k3m9x7q2w5h8d4tb") // P-256
	device2 = schemas.DeviceID("p8c2n6r4y9g7j5zs") // Ed25519
	issued  = 1790000000                           // iat of every message: 2026-09-21T14:13:20Z
)

// repeatable makes the signatures of a key the same every time (RFC 6979 for
// ECDSA).
type repeatable struct{ crypto.Signer }

func (k repeatable) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.Signer.Sign(nil, digest, opts)
}

type signingKey struct {
	name, comment, curve, issuer string
	identity                     string
	key                          repeatable
	cert                         *x509.Certificate
}

type keyring struct {
	names   []string
	signing map[string]*signingKey
	sealing []string
}

func seed(name string) []byte {
	sum := sha256.Sum256([]byte("carillon vectors: " + name))
	return sum[:]
}

func sealingKey(name string) *ecdh.PrivateKey { return try(ecdh.X25519().NewPrivateKey(seed(name))) }

func sealingPublic(name string) (k schemas.PublicKey) {
	copy(k[:], sealingKey(name).PublicKey().Bytes())
	return k
}

func privateKey(curve, name string) crypto.Signer {
	switch curve {
	case "P-256":
		return try(ecdsa.ParseRawPrivateKey(elliptic.P256(), seed(name)))
	case "P-384":
		sum := sha512.Sum384([]byte("carillon vectors: " + name))
		return try(ecdsa.ParseRawPrivateKey(elliptic.P384(), sum[:]))
	}
	return ed25519.NewKeyFromSeed(seed(name))
}

// newKeyring makes every key and certificate of keys.json.
func newKeyring() *keyring {
	r := &keyring{signing: map[string]*signingKey{}}
	r.add("root", "P-256", "root", "", "the fleet's root, which every device and bridge is given")
	r.add("intermediate", "P-256", "root", "", "issues devices and bridges")
	r.add("device-1", "P-256", "intermediate", "device:"+string(device1), "")
	r.add("device-2", "Ed25519", "intermediate", "device:"+string(device2), "")
	r.add("device-1-renewed", "P-256", "intermediate", "device:"+string(device1), "the same device after a renewal with a new key")
	r.add("device-1-direct", "P-256", "root", "device:"+string(device1), "issued by the root, so that the chain has one certificate")
	r.add("device-1-p384", "P-384", "intermediate", "device:"+string(device1), "a curve that no algorithm of this format has")
	r.add("bridge-1", "P-256", "intermediate", "bridge:b1", "")
	r.add("bridge-2", "Ed25519", "intermediate", "bridge:b2", "")
	r.add("stranger-root", "P-256", "stranger-root", "", "an authority that nobody trusts")
	r.add("stranger-device", "P-256", "stranger-root", "device:"+string(device1), "claims to be device 1")
	r.add("stranger-bridge", "P-256", "stranger-root", "bridge:b1", "claims to be a bridge")
	r.addChains()
	r.sealing = []string{"bridge-sealing", "bridge-sealing-old", "response-1", "response-2"}
	return r
}

func (r *keyring) add(name, curve, issuer, identity, comment string, changes ...change) {
	k := &signingKey{name: name, comment: comment, curve: curve, issuer: issuer, key: repeatable{privateKey(curve, name)}}
	t := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(seed("serial " + name)[:8]),
		Subject:               pkix.Name{CommonName: "Vectors " + name},
		NotBefore:             time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  identity == "",
		BasicConstraintsValid: identity == "",
	}
	if identity != "" {
		k.identity = "urn:carillon:" + identity
		t.URIs = []*url.URL{try(url.Parse(k.identity))}
		t.Subject.CommonName = identity[strings.IndexByte(identity, ':')+1:]
		t.KeyUsage = x509.KeyUsageDigitalSignature
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	for _, f := range changes {
		f(t)
	}
	parent, by := t, k
	if issuer != name {
		by = r.signing[issuer]
		parent = by.cert
	}
	k.cert = try(x509.ParseCertificate(try(x509.CreateCertificate(nil, t, parent, k.key.Public(), by.key))))
	r.names = append(r.names, name)
	r.signing[name] = k
}

// chain is the x5chain of a key: leaf first, root left out.
func (r *keyring) chain(name string) []*x509.Certificate {
	k := r.signing[name]
	chain := []*x509.Certificate{k.cert}
	for k.issuer != k.name && r.signing[k.issuer].issuer != k.issuer {
		k = r.signing[k.issuer]
		chain = append(chain, k.cert)
	}
	return chain
}

func (r *keyring) signer(name string) *schemas.Signer {
	return try(schemas.NewSigner(r.signing[name].key, r.chain(name)))
}

func (r *keyring) kid(name string) []byte {
	kid := schemas.KeyIDOf(r.signing[name].cert)
	return kid[:]
}

// signRaw signs any payload under any protected header, as the package's
// signer never would.
func (r *keyring) signRaw(name, topic string, protected, payload []byte) []byte {
	toSign := arr(tstr("Signature1"), bstr(protected), bstr([]byte(topic)), bstr(payload))
	return rawSignature(r.signing[name].key, toSign)
}

func rawSignature(key crypto.Signer, message []byte) []byte {
	pub, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return try(key.Sign(nil, message, crypto.Hash(0)))
	}
	digest := sha256.Sum256(message)
	der := try(key.Sign(nil, digest[:], crypto.SHA256))
	return rawFromDER(der, (pub.Curve.Params().BitSize+7)/8)
}

// rawFromDER turns an ASN.1 signature into r || s.
func rawFromDER(der []byte, size int) []byte {
	var sig struct{ R, S *big.Int }
	try(asn1.Unmarshal(der, &sig))
	return cat(sig.R.FillBytes(make([]byte, size)), sig.S.FillBytes(make([]byte, size)))
}

func (r *keyring) file() keyFile {
	f := keyFile{Comment: "Every key of the vectors. They are public: never use one for anything else."}
	for _, name := range r.names {
		k := r.signing[name]
		v := signingVector{Name: k.name, Comment: k.comment, Curve: k.curve, Identity: k.identity, Issuer: k.issuer,
			Certificate: k.cert.Raw, Kid: r.kid(name)}
		switch priv := k.key.Signer.(type) {
		case *ecdsa.PrivateKey:
			v.Private, v.Public = try(priv.Bytes()), try(priv.PublicKey.Bytes())
		case ed25519.PrivateKey:
			v.Private, v.Public = hexBytes(priv.Seed()), hexBytes(priv.Public().(ed25519.PublicKey))
		}
		f.Signing = append(f.Signing, v)
	}
	for _, name := range r.sealing {
		pub := sealingPublic(name)
		kid := pub.ID()
		f.Sealing = append(f.Sealing, sealingVector{Name: name, Private: seed(name), Public: pub[:], Kid: kid[:]})
	}
	return f
}
