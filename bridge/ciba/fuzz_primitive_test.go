package ciba_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/go-jose/go-jose/v4"
)

// These fuzz what the parsers of answers are made of, against the libraries that
// they replace.

// FuzzObject: what is accepted is what encoding/json accepts as an object, but
// for repeated members, and every member is the same.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "a" : 1 , "b" : [ {"c":"}"} , "\"]" ] , "d":null } `, `{"a":1,"a":2}`, `{"a":null,"a":1}`, `{"\u0061":1,"a":2}`,
		`{"a":{"b":1,"b":2}}`, `{"":""}`, `{"a":-1.5e3,"b":true,"c":false}`, `{"a":"\\"}`, `{"a":"\\\""}`, `{"\ud800":1,"\ud801":2}`,
		`null`, `[]`, `"{}"`, `{"a":1}{}`, `{"a":1},`, `{`, `{"a"`, ``, " ", "{\"\xff\":1}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ciba.ParseObject(data)
		var want map[string]json.RawMessage
		if json.Unmarshal(data, &want) != nil || want == nil || !utf8.Valid(data) || countMembers(t, data) != len(want) {
			if err == nil {
				t.Errorf("accepted as %q", got)
			}
			return
		}
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		for name, value := range want {
			if string(value) == "null" {
				delete(want, name)
			} else if !bytes.Equal(got[name], value) {
				t.Errorf("%q is %q, want %q", name, got[name], value)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d members, want %d", len(got), len(want))
		}
	})
}

// countMembers counts the members of an object, repeated ones as often as they
// are there.
func countMembers(t *testing.T, object []byte) (n int) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.Token()
	for ; d.More(); n++ {
		var value json.RawMessage
		if _, err := d.Token(); err != nil || d.Decode(&value) != nil {
			t.Fatalf("member %d of valid JSON: %v", n, err)
		}
	}
	return n
}

// FuzzSignature signs with go-jose, puts something somewhere into the token, and
// asks go-jose again: whatever is accepted it accepts, with the same payload, and
// whatever it accepts is accepted, unless the token is not as it would write it.
func FuzzSignature(f *testing.F) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	keys := []jose.SigningKey{
		{Algorithm: jose.ES256, Key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))},
		{Algorithm: jose.ES384, Key: must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))},
		{Algorithm: jose.ES512, Key: must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))},
		{Algorithm: jose.EdDSA, Key: edwards},
		{Algorithm: jose.RS256, Key: rsaKey}, {Algorithm: jose.RS384, Key: rsaKey}, {Algorithm: jose.RS512, Key: rsaKey},
		{Algorithm: jose.PS256, Key: rsaKey}, {Algorithm: jose.PS384, Key: rsaKey}, {Algorithm: jose.PS512, Key: rsaKey},
	}
	for i := range keys {
		f.Add(uint8(i), []byte(`{"sub":"anna"}`), "", uint16(0), uint16(0))
		f.Add(uint8(i), []byte(`{"sub":"anna"}`), "A", uint16(65535), uint16(0))
		f.Add(uint8(i), []byte(`{"sub":"anna"}`), "A", uint16(60), uint16(1))
		f.Add(uint8(i), []byte{}, "", uint16(70), uint16(9))
	}
	f.Add(uint8(0), []byte("x"), "\n", uint16(3), uint16(0))
	f.Add(uint8(0), []byte("x"), "==", uint16(65535), uint16(0))
	f.Fuzz(func(t *testing.T, which uint8, payload []byte, put string, at, cut uint16) {
		key := keys[int(which)%len(keys)]
		token := must(must(must(jose.NewSigner(key, nil)).Sign(payload)).CompactSerialize())
		from := min(int(at), len(token))
		changed := token[:from] + put + token[min(from+int(cut), len(token)):]
		public := key.Key.(crypto.Signer).Public()
		got, err := ciba.Verify(changed, public, string(key.Algorithm))
		var want []byte
		jws, theirs := jose.ParseSignedCompact(changed, []jose.SignatureAlgorithm{key.Algorithm})
		if theirs == nil {
			want, theirs = jws.Verify(public)
		}
		switch {
		case err == nil && (theirs != nil || !bytes.Equal(got, want)):
			t.Errorf("accepted as %q, but go-jose says %q, %v", got, want, theirs)
		case err != nil && theirs == nil && must(jws.CompactSerialize()) == changed && len(changed) <= 32<<10:
			t.Errorf("refused with %v, but go-jose accepts it", err)
		case changed == token && err == nil && !bytes.Equal(got, payload):
			t.Errorf("payload is %q, want %q", got, payload)
		}
	})
}

// FuzzHeaders: a pause is never negative or endless, and never shorter than what
// was asked for; a nonce is what a DPoP proof may repeat, or nothing.
func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{
		"5", "0", "-1", "+1", "99999999999", "1.5", " 1", "Fri, 31 Dec 9999 23:59:59 GMT", "Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "eyJ7S_zG.eyJH0-Z.HX4w-7v", `a"b`, `a\b`, "a b", "\x00", strings.Repeat("n", 257), "",
	} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		const most = 24 * time.Hour
		pause := ciba.ParseRetryAfter(value, now)
		want := time.Duration(0)
		if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
			want = time.Duration(seconds) * time.Second
		} else if date, err := http.ParseTime(value); err == nil {
			want = date.Sub(now)
		}
		if pause < 0 || pause > most || pause < min(want, most) || want <= 0 && pause != 0 {
			t.Errorf("a pause of %v, want %v", pause, want)
		}
		nonce := ciba.ParseNonce(value)
		good := len(value) <= 256 && !strings.ContainsFunc(value, func(r rune) bool {
			return r < '!' || r > '~' || r == '"' || r == '\\'
		})
		if good != (nonce == value) || !good && nonce != "" {
			t.Errorf("nonce %q", nonce)
		}
		// It goes into JSON as it is.
		if encoded, err := json.Marshal(nonce); err != nil || nonce != "" && !strings.ContainsAny(nonce, "<>&") && string(encoded) != `"`+nonce+`"` {
			t.Errorf("nonce %q needs an escape", nonce)
		}
	})
}
