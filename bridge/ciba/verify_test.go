package ciba_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// issue returns an ID token of op, which its client need not like.
func issue(t *testing.T, op *cibatest.Provider) (client *ciba.Client, raw string) {
	t.Helper()
	op.AutoApprove = time.Nanosecond
	op.EditTokens = func(m map[string]any) { raw = m["id_token"].(string) }
	client = newClient(t, op)
	ack := ring(t, client, anna())
	time.Sleep(ack.Interval)
	client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
	return client, raw
}

func wantCheck(t *testing.T, err error, check ciba.Check) {
	t.Helper()
	var e *ciba.IDTokenError
	switch {
	case check == "" && err != nil:
		t.Errorf("refused: %v", err)
	case check != "" && (!errors.As(err, &e) || e.Check != check):
		t.Errorf("error is %v, want one about %s", err, check)
	}
}

// TestVerifyAlone: an ID token by itself, long after its answer. What is not
// expected is not compared.
func TestVerifyAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, raw := issue(t, &cibatest.Provider{EditIDToken: func(d *cibatest.Draft) {
			d.Claims[string(ciba.CheckAuthReqID)] = d.Request.AuthReqID
			d.Claims[string(ciba.CheckRtHash)] = d.Hash("refresh")
		}})
		for _, tc := range []struct {
			name   string
			expect ciba.Expect
			check  ciba.Check
		}{
			{"nothing", ciba.Expect{}, ""},
			{"push without tokens at hand", ciba.Expect{Push: true}, ""},
			{"refresh token", ciba.Expect{RefreshToken: "refresh"}, ""},
			{"another refresh token", ciba.Expect{RefreshToken: "another"}, ciba.CheckRtHash},
			{"another access token", ciba.Expect{AccessToken: "another"}, ciba.CheckAtHash},
			{"another request", ciba.Expect{AuthReqID: "another"}, ciba.CheckAuthReqID},
			{"a later request", ciba.Expect{RequestedAt: time.Now().Add(61 * time.Second)}, ciba.CheckIssuedAt},
			{"a request a minute later, within the leeway", ciba.Expect{RequestedAt: time.Now().Add(60 * time.Second)}, ""},
		} {
			t.Log(tc.name)
			_, err := client.VerifyIDToken(t.Context(), raw, tc.expect)
			wantCheck(t, err, tc.check)
		}
		time.Sleep(6*time.Minute - time.Nanosecond)
		_, err := client.VerifyIDToken(t.Context(), raw, ciba.Expect{})
		wantCheck(t, err, "")
		time.Sleep(time.Nanosecond)
		_, err = client.VerifyIDToken(t.Context(), raw, ciba.Expect{})
		wantCheck(t, err, ciba.CheckExpiry)
	})
}

// TestLimits: the last value that is allowed, and the first that is not.
func TestLimits(t *testing.T) {
	now := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for _, tc := range []struct {
		name  string
		edit  func(*cibatest.Draft)
		check ciba.Check
	}{
		{"sub of 255 bytes", claim("sub", strings.Repeat("x", 255)), ""},
		{"sub of 256 bytes", claim("sub", strings.Repeat("x", 256)), ciba.CheckSubject},
		{"sub unprintable", claim("sub", "a\u2028b"), ciba.CheckSubject},
		{"iat at the leeway", func(d *cibatest.Draft) { d.Claims["iat"] = now(60 * time.Second) }, ""},
		{"iat beyond the leeway", func(d *cibatest.Draft) { d.Claims["iat"] = now(61 * time.Second) }, ciba.CheckIssuedAt},
		{"nbf at the leeway", func(d *cibatest.Draft) { d.Claims["nbf"] = now(60 * time.Second) }, ""},
		{"nbf beyond the leeway", func(d *cibatest.Draft) { d.Claims["nbf"] = now(61 * time.Second) }, ciba.CheckNotBefore},
		{"token of 32 KiB and more", claim("padding", strings.Repeat("x", 25<<10)), ciba.CheckPresent},
		{"token of nearly 32 KiB", claim("padding", strings.Repeat("x", 24000)), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, raw := issue(t, &cibatest.Provider{EditIDToken: tc.edit})
				_, err := client.VerifyIDToken(t.Context(), raw, ciba.Expect{})
				wantCheck(t, err, tc.check)
			})
		})
	}
}

// TestLeeway: none, if asked for.
func TestLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := quick()
		op.EditIDToken = func(d *cibatest.Draft) { d.Claims["iat"] = time.Now().Add(time.Second).Unix() }
		err := redeem(t, newClient(t, op, func(cfg *ciba.Config) { cfg.Leeway = -1 }))
		wantCheck(t, err, ciba.CheckIssuedAt)
		if err := redeem(t, newClient(t, op, func(cfg *ciba.Config) { cfg.Leeway = time.Second })); err != nil {
			t.Error(err)
		}
	})
}

// TestAuthTimeIsOptional: a provider that does not say when the person
// authenticated is believed, unless the caller wants to know.
func TestAuthTimeIsOptional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, raw := issue(t, &cibatest.Provider{EditIDToken: claim("auth_time", nil)})
		_, err := client.VerifyIDToken(t.Context(), raw, ciba.Expect{RequestedAt: time.Now()})
		wantCheck(t, err, "")
		_, err = client.VerifyIDToken(t.Context(), raw, ciba.Expect{RequireAuthTime: true})
		wantCheck(t, err, ciba.CheckAuthTime)
	})
}

// TestForm: a token has one form, though decoders read others as well.
func TestForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, raw := issue(t, quick())
		parts := strings.Split(raw, ".")
		for i, part := range parts {
			for _, other := range []string{part[:3] + "\n" + part[3:], part + "=", part[:3] + "+" + part[4:], "." + part} {
				changed := slices.Clone(parts)
				changed[i] = other
				_, err := client.VerifyIDToken(t.Context(), strings.Join(changed, "."), ciba.Expect{})
				wantCheck(t, err, ciba.CheckForm)
			}
		}
		// The last digit of 64 bytes has four bits to spare.
		const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(digits, raw[len(raw)-1])
		_, err := client.VerifyIDToken(t.Context(), raw[:len(raw)-1]+digits[last+1:last+2], ciba.Expect{})
		wantCheck(t, err, ciba.CheckForm)
	})
}
