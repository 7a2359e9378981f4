package ciba_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

func FuzzIDTokenClaims(f *testing.F) {
	for _, seed := range []string{
		`{"iss":"https://op.test","sub":"s","aud":"c","exp":1900000000,"iat":1800000000,"auth_time":1800000000.5,"acr":"a","amr":["pwd"],"at_hash":"x","azp":"c","nbf":1}`,
		`{"aud":["a","b"]}`, `{"aud":[1]}`, `{"exp":"1"}`, `{"exp":1e400}`, `{"exp":NaN}`, `{"exp":-0}`, `{"sub":1}`, `{"sub":"a","sub":"b"}`, `{}`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		token, err := ciba.ParseClaims(payload)
		if err != nil {
			holdError(t, err)
			if token != nil || !errors.Is(err, ciba.ErrIDToken) {
				t.Error("refused, but not nil or not an ErrIDToken")
			}
			return
		}
		p := plain(t, payload)
		sub, _ := p["sub"].(string)
		number, _ := p["exp"].(json.Number)
		exp, _ := number.Float64()
		if token.Subject != sub || !token.Expiry.IsZero() && token.Expiry.Unix() != int64(exp) {
			t.Error("claims differ from what encoding/json reads")
		}
		if list, ok := p["aud"].([]any); ok {
			audience := make([]any, len(token.Audience))
			for i, a := range token.Audience {
				audience[i] = a
			}
			if !reflect.DeepEqual(list, audience) {
				t.Error("aud differs from what encoding/json reads")
			}
		}
	})
}

func FuzzIDTokenHeader(f *testing.F) {
	for _, seed := range []string{
		"eyJhbGciOiJFUzI1NiJ9.e30.AA", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.AA", "a.b.c", "..", "", "a.b.c.d.e",
		"eyJhbGciOiJFUzI1NiIsImFsZyI6Im5vbmUifQ.e30.AA", "eyJhbGciOiJFUzI1NiIsImNyaXQiOltdfQ.e30.AA",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		alg, kid, err := ciba.ParseHeader(raw)
		if err != nil {
			holdError(t, err)
			return
		}
		if alg == "none" || strings.HasPrefix(alg, "HS") || alg == "" || strings.Count(raw, ".") != 2 {
			t.Errorf("accepted algorithm %q", alg)
		}
		header, _, _ := strings.Cut(raw, ".")
		p := plain(t, must(base64.RawURLEncoding.DecodeString(header)))
		if said, _ := p["kid"].(string); p["alg"] != alg || said != kid || p["crit"] != nil {
			t.Errorf("alg %q and kid %q, encoding/json says %v", alg, kid, p)
		}
	})
}
