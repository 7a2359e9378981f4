package schemas_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/carillon-iot/carillon/schemas"
)

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
