package enroll_test

import (
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki/enroll"
)

func TestParseToken(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		got, err := enroll.ParseToken(" " + a.token("x1", map[string]any{"aud": []string{"/1.0/sign", "https://pki.example.com:9000/1.0/sign"}}) + "\n")
		if err != nil {
			t.Fatal(err)
		}
		if got.Subject != "x1" || got.Issuer != "device" || got.URL != "https://pki.example.com:9000" || got.Fingerprint != a.fingerprint() ||
			got.Bound || len(got.SANs) != 1 || got.SANs[0] != "urn:carillon:device:x1" || !got.Expiry.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("ParseToken = %+v", got)
		}
		for _, c := range []struct{ name, token, want string }{
			{"empty", "", "1 parts"},
			{"four parts", "a.b.c.d", "4 parts"},
			{"not base64", "a.%.c", "payload"},
			{"not JSON", "a.YQ.c", "payload"},
			{"no subject", "a.e30.c", "no subject"},
			{"enormous", strings.Repeat("a", 10_000), "at most 8192"},
			{"numbers for names", a.token("x1", map[string]any{"sans": 7}), "payload"},
		} {
			_, err := enroll.ParseToken(c.token)
			wantError(t, c.name, err, c.want)
			if err != nil && c.token != "" && strings.Contains(err.Error(), c.token) {
				t.Errorf("%s: the error repeats the token", c.name)
			}
		}
	})
}

func FuzzParseToken(f *testing.F) {
	for _, s := range []string{
		"a.eyJzdWIiOiJ4MSJ9.c",
		"a.eyJzdWIiOiJ4MSIsImF1ZCI6WyJodHRwczovL2EvIl0sInNhbnMiOlsiYSJdLCJleHAiOjF9.c",
		"a.e30.c", "..", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := enroll.ParseToken(s)
		switch {
		case err == nil && (got.Subject == "" || len(got.SANs) == 0):
			t.Fatalf("%q: accepted without a subject or names", s)
		case err == nil && got.URL != "" && !strings.HasPrefix(got.URL, "https://"):
			t.Fatalf("%q: would be sent to %q", s, got.URL)
		case err != nil && (got.Subject != "" || got.SANs != nil || got.URL != ""):
			t.Fatalf("%q: failed and returned %+v", s, got)
		}
	})
}
