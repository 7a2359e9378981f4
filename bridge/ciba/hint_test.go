package ciba_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// TestLoginHintFormat: a subject, and every way to write it as an object, is
// sent as the same object.
func TestLoginHintFormat(t *testing.T) {
	const sent = `{"format":"iss_sub","iss":"https://op.test/","sub":"auth0|5f7c"}`
	for _, hint := range []string{
		"auth0|5f7c",
		sent,
		` { "sub" : "auth0|5f7c", "iss": "https://op.test", "format": "iss_sub" } `,
		`{"format":"iss_sub","iss":"https:\/\/op.test\/","sub":"auth0\u007c5f7c"}`,
	} {
		for _, issuer := range []string{"https://op.test", "https://op.test/"} {
			var got string
			op := &cibatest.Provider{Issuer: issuer, OnRequest: func(r cibatest.Request) { got = r.Hint }}
			req := anna()
			req.LoginHint = hint
			ring(t, newClient(t, op, func(cfg *ciba.Config) { cfg.Profile = row(t, "auth0") }), req)
			if got != sent {
				t.Errorf("%s is sent to %s as %s, want %s", hint, issuer, got, sent)
			}
		}
	}
}

func TestLoginHintErrors(t *testing.T) {
	op := &cibatest.Provider{}
	client := newClient(t, op, func(cfg *ciba.Config) { cfg.Profile = row(t, "auth0") })
	for name, hint := range map[string]string{
		"no JSON":          `{auth0|5f7c}`,
		"two objects":      `{"format":"iss_sub","iss":"https://op.test/","sub":"x"}{}`,
		"another format":   `{"format":"email","iss":"https://op.test/","sub":"x"}`,
		"no format":        `{"iss":"https://op.test/","sub":"x"}`,
		"another issuer":   `{"format":"iss_sub","iss":"https://other.test/","sub":"x"}`,
		"no issuer":        `{"format":"iss_sub","sub":"x"}`,
		"no subject":       `{"format":"iss_sub","iss":"https://op.test/"}`,
		"empty subject":    `{"format":"iss_sub","iss":"https://op.test/","sub":""}`,
		"null":             `{"format":"iss_sub","iss":"https://op.test/","sub":null}`,
		"a number":         `{"format":"iss_sub","iss":"https://op.test/","sub":7}`,
		"two subjects":     `{"format":"iss_sub","iss":"https://op.test/","sub":"x","sub":"y"}`,
		"another member":   `{"format":"iss_sub","iss":"https://op.test/","sub":"x","email":"x"}`,
		"hidden character": `{"format":"iss_sub","iss":"https://op.test/","sub":"x\u0000"}`,
		"long subject":     strings.Repeat("x", 256),
	} {
		req := anna()
		req.LoginHint = hint
		_, err := client.RequestAuthentication(t.Context(), req)
		wantField(t, err, "LoginHint")
		if err != nil && strings.Contains(err.Error(), hint) {
			t.Errorf("%s: error %q quotes the hint", name, err)
		}
	}
	if s := op.Stats(); s != (cibatest.Stats{}) {
		t.Errorf("the provider saw %+v, want nothing", s)
	}
}

// FuzzIssSub: what is accepted is one object of the issuer, whose subject is the
// text or was in it, and is accepted again as it is.
func FuzzIssSub(f *testing.F) {
	for _, seed := range []string{
		"auth0|5f7c", `{"format":"iss_sub","iss":"https://op.test","sub":"<ü>"}`, `{"sub":"x"}`, "{", "\u2028", `"`,
		`{"format":"iss_sub","iss":"https://op.test/","sub":"x","sub":"y"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, hint string) {
		got, err := ciba.IssSub("https://op.test", hint)
		if err != nil || !utf8.ValidString(hint) { // which RequestAuthentication refuses before
			return
		}
		var members map[string]string
		if err := json.Unmarshal([]byte(got), &members); err != nil || len(members) != 3 {
			t.Fatalf("%q becomes %q: %v", hint, got, err)
		}
		sub := members["sub"]
		if members["format"] != "iss_sub" || members["iss"] != "https://op.test/" || len(sub) > 255 {
			t.Errorf("%q becomes %q", hint, got)
		}
		if !strings.HasPrefix(strings.TrimSpace(hint), "{") && sub != hint {
			t.Errorf("%q is sent as the subject %q", hint, sub)
		}
		if strings.ContainsFunc(got, func(c rune) bool { return !unicode.IsPrint(c) }) {
			t.Errorf("%q becomes %q, which has an unprintable character", hint, got)
		}
		if sub != "" {
			if again, err := ciba.IssSub("https://op.test/", got); err != nil || again != got {
				t.Errorf("%q becomes %q, %v", got, again, err)
			}
		}
	})
}
