package schemas_test

import (
	"bytes"
	"crypto/ecdh"
	"reflect"
	"testing"

	"github.com/carillon-iot/carillon/schemas"
	"github.com/fxamacker/cbor/v2"
)

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
