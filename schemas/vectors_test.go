package schemas_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/schemas"
	"github.com/fxamacker/cbor/v2"
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

// trust is what a receiver does with the chain of a hello or a welcome: to the
// root, and to the identity that the topic asks for.
func trust(e *schemas.Envelope, keys map[string]signing, now time.Time) error {
	roots, rest := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(keys["root"].cert)
	for _, c := range e.Chain[1:] {
		rest.AddCert(c)
	}
	_, err := e.Chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: rest, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return err
	}
	want := "urn:carillon:device:" + string(e.Topic.Device)
	if e.Topic.Way == schemas.Down {
		want = "urn:carillon:bridge:"
	}
	for _, u := range e.Chain[0].URIs {
		if s := u.String(); s == want || (e.Topic.Way == schemas.Down && len(s) > len(want) && s[:len(want)] == want) {
			return nil
		}
	}
	return errors.New("not the identity that the topic asks for")
}

// stages run one refused vector and return the error that it ends in, after
// having passed the stages before.
var stages = map[string]func(*testing.T, badVector) error{
	"parse": func(t *testing.T, v badVector) error {
		e, err := schemas.Parse(topic(t, v.Topic), v.Message)
		if err != nil && e != nil {
			t.Error("an envelope comes with the error")
		}
		return err
	},
	"payload": func(t *testing.T, v badVector) error {
		m, err := schemas.UnmarshalPayload(topic(t, v.Topic).Way, v.Payload)
		if m != nil {
			t.Errorf("decodes as %v", m.Kind())
		}
		if _, whole := schemas.Parse(topic(t, v.Topic), v.Message); classOf(whole) != classOf(err) {
			t.Errorf("the message: %v; its payload: %v", whole, err)
		}
		return err
	},
	"verify": func(t *testing.T, v badVector) error {
		e, err := schemas.Parse(topic(t, v.Topic), v.Message)
		if err != nil {
			t.Fatalf("does not even parse: %v", err)
		}
		m, err := e.Verify(keys(t)[v.Certificate].cert)
		if m != nil {
			t.Error("a message comes with the error")
		}
		return err
	},
	"fresh": func(t *testing.T, v badVector) error {
		return schemas.Fresh(issuedAt(verified(t, v)), time.Unix(int64(v.Now), 0))
	},
	"open": open,
	"identity": func(t *testing.T, v badVector) error {
		verified(t, v)
		e, _ := schemas.Parse(topic(t, v.Topic), v.Message)
		return trust(e, keys(t), time.Unix(int64(v.Now), 0))
	},
}

func verified(t *testing.T, v badVector) schemas.Message {
	e, err := schemas.Parse(topic(t, v.Topic), v.Message)
	if err != nil {
		t.Fatalf("does not even parse: %v", err)
	}
	m, err := e.Verify(keys(t)[v.Certificate].cert)
	if err != nil {
		t.Fatalf("does not even verify: %v", err)
	}
	return m
}

func open(t *testing.T, v badVector) error {
	k, device, id := loadSealing(t)[v.Key], topic(t, v.Topic).Device, schemas.ID(v.ID)
	switch v.As {
	case "private":
		p, err := schemas.OpenPrivate(k, device, id, v.Sealed)
		if p != (schemas.Private{}) {
			t.Error("contents come with the error")
		}
		return err
	case "sign-in":
		p, err := verified(t, v).(*schemas.SignIn).Open(k, device)
		if p != (schemas.Private{}) {
			t.Error("contents come with the error")
		}
		return err
	case "grant":
		g, err := schemas.OpenGrant(k, device, id, v.Sealed)
		if g.AccessToken != nil || g.Person != (schemas.Handle{}) || g.ExpiresIn != 0 {
			t.Error("contents come with the error")
		}
		return err
	}
	t.Fatalf("as %q", v.As)
	return nil
}

// classes lists every class and how many vectors of it there are at least.
var classes = map[schemas.Class]int{
	schemas.ClassTooLarge: 2, schemas.ClassMalformed: 10, schemas.ClassTrailing: 4, schemas.ClassIndefinite: 8, schemas.ClassTag: 5,
	schemas.ClassTooDeep: 4, schemas.ClassDuplicateKey: 6, schemas.ClassUnknownKey: 20, schemas.ClassWrongType: 40, schemas.ClassMissing: 30,
	schemas.ClassLimit: 40, schemas.ClassConflict: 5, schemas.ClassNotCanonical: 25, schemas.ClassWay: 2, schemas.ClassHeader: 6,
	schemas.ClassCrit: 2, schemas.ClassAlg: 10, schemas.ClassKey: 6, schemas.ClassSignature: 10, schemas.ClassSealed: 15, schemas.ClassStale: 6,
}

func TestVectorsRefused(t *testing.T) {
	count, names := map[schemas.Class]int{}, map[string]bool{}
	total := 0
	for _, file := range []string{"bad-envelopes.json", "bad-payloads.json", "bad-sealed.json", "bad-times.json", "bad-senders.json"} {
		vectors := load[badFile](t, file).Vectors
		if len(vectors) == 0 {
			t.Fatalf("%s is empty", file)
		}
		total += len(vectors)
		for _, v := range vectors {
			if names[v.Name] {
				t.Errorf("two vectors are named %s", v.Name)
			}
			names[v.Name] = true
			count[schemas.Class(v.Class)]++
			t.Run(v.Name, func(t *testing.T) {
				run, ok := stages[v.Stage]
				if !ok {
					t.Fatalf("stage %q", v.Stage)
				}
				err := run(t, v)
				if err == nil {
					t.Fatalf("accepted; want class %q", v.Class)
				}
				if got := classOf(err); got != v.Class {
					t.Errorf("class %q, want %q: %v", got, v.Class, err)
				}
			})
		}
	}
	t.Logf("%d refused vectors: %v", total, count)
	if total < 60 {
		t.Errorf("%d vectors, want at least 60", total)
	}
	for class, least := range classes {
		if count[class] < least {
			t.Errorf("%d vectors of class %s, want at least %d", count[class], class, least)
		}
	}
}

func TestVectorSealed(t *testing.T) {
	sealing := loadSealing(t)
	vectors := load[sealedFile](t, "sealed.json").Vectors
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			k, device, id := sealing[v.Key], topic(t, v.Topic).Device, schemas.ID(v.ID)
			want := map[int64]any{}
			if err := cbor.Unmarshal(v.Plaintext, &want); err != nil {
				t.Fatal(err)
			}
			switch v.As {
			case "private":
				p, err := schemas.OpenPrivate(k, device, id, v.Sealed)
				if err != nil {
					t.Fatal(err)
				}
				same(t, want, map[int64]any{-27: p.LoginHint, -28: p.LoginHintToken, -29: p.IDTokenHint, -30: p.Purpose})
				if kid, err := schemas.SealedTo(v.Sealed); err != nil || kid != k.Public().ID() {
					t.Errorf("sealed to %v (%v)", kid, err)
				}
			case "grant":
				g, err := schemas.OpenGrant(k, device, id, v.Sealed)
				if err != nil {
					t.Fatal(err)
				}
				same(t, want, map[int64]any{1: []byte(g.AccessToken), 2: uint64(g.ExpiresIn), 9: g.Scope, 34: uint64(g.TokenType),
					-2: g.Person[:], -31: g.Name, -32: g.Renewable})
			default:
				t.Fatalf("as %q", v.As)
			}
			if v.Diagnostic == "" {
				t.Error("no diagnostic notation")
			}
			sealAgain(t, v, k)
		})
	}
}

// same compares a decoded map with the fields it became; absent is zero.
func same(t *testing.T, want, got map[int64]any) {
	t.Helper()
	for key, v := range got {
		w, ok := want[key]
		if !ok {
			w = reflect.Zero(reflect.TypeOf(v)).Interface()
		}
		if !reflect.DeepEqual(v, w) {
			t.Errorf("key %d: %v, want %v", key, v, w)
		}
		delete(want, key)
	}
	if len(want) != 0 {
		t.Errorf("%v got lost", want)
	}
}

// sealAgain makes the same COSE_Encrypt0 from the ephemeral key, by RFC 9180
// spelled out.
func sealAgain(t *testing.T, v sealedVector, k *schemas.SealKey) {
	var parts []cbor.RawMessage
	if err := cbor.Unmarshal(v.Sealed, &parts); err != nil || len(parts) != 3 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	ephemeral, err := ecdh.X25519().NewPrivateKey(v.Ephemeral)
	if err != nil {
		t.Fatal(err)
	}
	pub := k.Public()
	to, err := ecdh.X25519().NewPublicKey(pub[:])
	if err != nil {
		t.Fatal(err)
	}
	aad := arr(tstr("Encrypt0"), parts[0], bstr(cat([]byte(v.Topic), v.ID)))
	if !bytes.Equal(aad, v.AAD) {
		t.Errorf("aad\n%x, want\n%x", aad, v.AAD)
	}
	enc, ct := hpkeSeal(to, ephemeral, aad, v.Plaintext)
	if again := arr(parts[0], amap(num(-4), bstr(enc)), bstr(ct)); !bytes.Equal(again, v.Sealed) {
		t.Errorf("seals to\n%x, want\n%x", again, v.Sealed)
	}
}

func TestVectorProofs(t *testing.T) {
	keys := loadSigning(t)
	vectors := load[proofFile](t, "proofs.json").Vectors
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	b64 := base64.RawURLEncoding.EncodeToString
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			pub := keys[v.Signer].key.Public()
			c := schemas.ProofClaims{Device: schemas.DeviceID(v.Device), ID: schemas.ID(v.ID), Number: v.Number, Endpoint: v.Endpoint, IssuedAt: v.IssuedAt, Nonce: v.Nonce}
			input, err := schemas.ProofInput(pub, c)
			if err != nil || string(input) != v.Input || v.Input != b64([]byte(v.Header))+"."+b64([]byte(v.Claims)) {
				t.Errorf("signing input (%v)\n%s, want\n%s", err, input, v.Input)
			}
			if v.Proof != v.Input+"."+b64(v.Signature) {
				t.Error("proof is not input and signature")
			}
			if !schemas.VerifyProof(pub, c, v.Signature) {
				t.Error("the signature does not verify")
			}
			if tp, err := schemas.Thumbprint(pub); err != nil || tp != v.Thumbprint {
				t.Errorf("thumbprint %s (%v), want %s", tp, err, v.Thumbprint)
			}
			proofIsJWS(t, v)
			if other := c; schemas.VerifyProof(pub, renumbered(other), v.Signature) {
				t.Error("the signature verifies for another number")
			}
		})
	}
}

func renumbered(c schemas.ProofClaims) schemas.ProofClaims {
	c.Number ^= 1
	return c
}

// proofIsJWS reads header and claims as JSON and derives jti and thumbprint
// from the words of README.md alone.
func proofIsJWS(t *testing.T, v proofVector) {
	var header struct {
		Typ, Alg string
		JWK      json.RawMessage
	}
	var claims struct {
		JTI, HTM, HTU, Nonce string
		IAT                  uint64
	}
	if err := json.Unmarshal([]byte(v.Header), &header); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(v.Claims), &claims); err != nil {
		t.Fatal(err)
	}
	if header.Typ != "dpop+jwt" || claims.HTM != "POST" || claims.HTU != v.Endpoint || claims.IAT != v.IssuedAt || claims.Nonce != v.Nonce {
		t.Errorf("header %+v, claims %+v", header, claims)
	}
	sum := sha256.Sum256(header.JWK)
	if base64.RawURLEncoding.EncodeToString(sum[:]) != v.Thumbprint {
		t.Error("the thumbprint is not that of the jwk")
	}
	h := sha256.New()
	h.Write([]byte("carillon/v1 proof\x00" + v.Device + "\x00"))
	h.Write(v.ID)
	h.Write([]byte{byte(v.Number >> 8), byte(v.Number)})
	if jti := base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16]); jti != v.JTI || claims.JTI != jti {
		t.Errorf("jti %s, want %s as in the claims, %s", jti, v.JTI, claims.JTI)
	}
}

func TestVectorTexts(t *testing.T) {
	f := load[textFile](t, "texts.json")
	if len(f.Topics) == 0 || len(f.Scopes) == 0 || len(f.Texts) == 0 || len(f.Endpoints) == 0 || len(f.Nonces) == 0 {
		t.Fatal("a list is empty")
	}
	for _, v := range f.Topics {
		got, err := schemas.ParseTopic(v.Topic)
		if v.Device == "" {
			if err == nil || got != (schemas.Topic{}) {
				t.Errorf("topic %q: got %v, want an error", v.Topic, got)
			}
			continue
		}
		if err != nil || string(got.Device) != v.Device || got.Way.String() != v.Way || got.String() != v.Topic {
			t.Errorf("topic %q: got %v, %v", v.Topic, got, err)
		}
	}
	each := func(list string, vectors []textVector, check func(string) error) {
		for _, v := range vectors {
			if err := check(v.Text); (err == nil) != v.Valid {
				t.Errorf("%s %q: %v, want valid %v", list, v.Text, err, v.Valid)
			}
		}
	}
	key := loadSigning(t)["device-1"].key.Public()
	seal := loadSealing(t)["response-1"].Public()
	each("scope", f.Scopes, func(s string) error {
		p := schemas.Handle{1}
		_, err := schemas.MarshalPayload(&schemas.SignIn{ID: schemas.ID{1}, IssuedAt: 1, Scope: s, Person: &p, Device: schemas.Car, ResponseKey: seal})
		return err
	})
	each("text", f.Texts, func(s string) error {
		_, err := schemas.SealGrant(seal, "d", schemas.ID{1}, schemas.Grant{AccessToken: []byte("t"), ExpiresIn: 1, Person: schemas.Handle{1}, Name: s})
		return err
	})
	each("endpoint", f.Endpoints, func(s string) error {
		_, err := schemas.ProofInput(key, schemas.ProofClaims{Endpoint: s})
		return err
	})
	each("nonce", f.Nonces, func(s string) error {
		_, err := schemas.MarshalPayload(&schemas.Prove{ID: schemas.ID{1}, IssuedAt: 1, Count: 1, Nonce: s})
		return err
	})
}
