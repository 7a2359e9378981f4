package schemas_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// These tests read the vectors as a stranger would, and use nothing of the
// generator.

// load reads one file of vectors; a key that it does not know is an error.
func load[T any](t testing.TB, name string) T {
	t.Helper()
	f, err := os.Open(filepath.Join(vectorDir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var v T
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// signing is an entry of keys.json, parsed.
type signing struct {
	signingVector
	key  crypto.Signer
	cert *x509.Certificate
}

func loadSigning(t testing.TB) map[string]signing {
	t.Helper()
	keys := map[string]signing{}
	for _, v := range load[keyFile](t, "keys.json").Signing {
		s := signing{signingVector: v}
		var err error
		switch v.Curve {
		case "P-256":
			s.key, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), v.Private)
		case "P-384":
			s.key, err = ecdsa.ParseRawPrivateKey(elliptic.P384(), v.Private)
		case "Ed25519":
			s.key = ed25519.NewKeyFromSeed(v.Private)
		default:
			t.Fatalf("%s: curve %q", v.Name, v.Curve)
		}
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		if s.cert, err = x509.ParseCertificate(v.Certificate); err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		keys[v.Name] = s
	}
	if len(keys) == 0 {
		t.Fatal("no keys")
	}
	return keys
}

func loadSealing(t testing.TB) map[string]*schemas.SealKey {
	t.Helper()
	keys := map[string]*schemas.SealKey{}
	for _, v := range load[keyFile](t, "keys.json").Sealing {
		k, err := schemas.ParseSealKey(v.Private)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		keys[v.Name] = k
	}
	return keys
}

func topic(t testing.TB, s string) schemas.Topic {
	t.Helper()
	x, err := schemas.ParseTopic(s)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func classOf(err error) string {
	if e, ok := errors.AsType[*schemas.Error](err); ok {
		return string(e.Class)
	}
	return ""
}

func TestVectorKeys(t *testing.T) {
	f := load[keyFile](t, "keys.json")
	for name, k := range loadSigning(t) {
		pub, ok := k.key.Public().(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !pub.Equal(k.cert.PublicKey) {
			t.Errorf("%s: private key and certificate do not belong together", name)
		}
		if kid := schemas.KeyIDOf(k.cert); !bytes.Equal(kid[:], k.Kid) {
			t.Errorf("%s: kid %v, want %x", name, kid, k.Kid)
		}
	}
	keys := loadSealing(t)
	for _, v := range f.Sealing {
		pub := keys[v.Name].Public()
		kid := pub.ID()
		if !bytes.Equal(pub[:], v.Public) || !bytes.Equal(kid[:], v.Kid) {
			t.Errorf("%s: public key %x with kid %v, want %x with %x", v.Name, pub, kid, v.Public, v.Kid)
		}
	}
}

func TestVectorMessages(t *testing.T) {
	keys := loadSigning(t)
	vectors := load[messageFile](t, "messages.json").Vectors
	if len(vectors) < 20 {
		t.Fatalf("%d vectors, want at least 20", len(vectors))
	}
	seen := map[string]map[string]bool{"ES256": {}, "EdDSA": {}}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			k := keys[v.Signer]
			m := accept(t, v, k)
			signAgain(t, v, k, m)
			judgeTime(t, v, m)
			if k.Curve == "Ed25519" {
				seen["EdDSA"][v.Type] = true
			} else {
				seen["ES256"][v.Type] = true
			}
			if v.Diagnostic == "" {
				t.Error("no diagnostic notation")
			}
		})
	}
	for kind := range schemas.KindRevoked + 1 {
		name := kind.String()
		if known := name[:min(5, len(name))] != "kind "; known && !seen["ES256"][name] {
			t.Errorf("no vector for %s", name)
		}
	}
	if len(seen["EdDSA"]) < 6 {
		t.Errorf("EdDSA signs only %v", seen["EdDSA"])
	}
}

// accept parses and verifies a message and compares what it says with the
// vector.
func accept(t *testing.T, v messageVector, k signing) schemas.Message {
	e, err := schemas.Parse(topic(t, v.Topic), v.Message)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Verify(k.cert)
	if err != nil {
		t.Fatal(err)
	}
	if id := m.RequestID(); m.Kind().String() != v.Type || !bytes.Equal(id[:], v.ID) {
		t.Errorf("%v with id %v, want %s with %x", m.Kind(), id, v.Type, v.ID)
	}
	if e.Chain != nil {
		if err := trust(e, keys(t), k.cert.NotBefore.AddDate(0, 6, 0)); err != nil {
			t.Errorf("chain: %v", err)
		}
	}
	return m
}

// signAgain encodes the message anew. Signatures being repeatable, all of it
// is the same.
func signAgain(t *testing.T, v messageVector, k signing, m schemas.Message) {
	payload, err := schemas.MarshalPayload(m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(payload, v.Payload) {
		t.Errorf("payload encodes to\n%x, want\n%x", payload, v.Payload)
	}
	e, _ := schemas.Parse(topic(t, v.Topic), v.Message)
	chain := e.Chain
	if chain == nil {
		chain = []*x509.Certificate{k.cert}
	}
	s, err := schemas.NewSigner(repeatable{k.key}, chain)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Sign(topic(t, v.Topic), m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, v.Message) {
		t.Errorf("message encodes to\n%x, want\n%x", again, v.Message)
	}
}

func issuedAt(m schemas.Message) uint64 {
	switch m := m.(type) {
	case *schemas.SignIn:
		return m.IssuedAt
	case *schemas.Renew:
		return m.IssuedAt
	case *schemas.SignOut:
		return m.IssuedAt
	}
	return 0
}

func judgeTime(t *testing.T, v messageVector, m schemas.Message) {
	iat := issuedAt(m)
	if iat == 0 {
		return
	}
	at := func(s uint64) string { return classOf(schemas.Fresh(iat, time.Unix(int64(s), 0))) }
	if at(v.FreshFrom) != "" || at(v.FreshUntil) != "" {
		t.Errorf("not fresh from %d to %d", v.FreshFrom, v.FreshUntil)
	}
	if at(v.FreshFrom-1) != "stale" || at(v.FreshUntil+1) != "stale" {
		t.Errorf("fresh before %d or after %d", v.FreshFrom, v.FreshUntil)
	}
}

func keys(t testing.TB) map[string]signing { return loadSigning(t) }
