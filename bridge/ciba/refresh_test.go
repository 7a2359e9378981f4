package ciba_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// signedIn returns a client of op and the tokens of a sign-in.
func signedIn(t *testing.T, op *cibatest.Provider) (*ciba.Client, *ciba.Tokens) {
	t.Helper()
	op.AutoApprove, op.RefreshTokens = time.Nanosecond, true
	client := newClient(t, op)
	ack := ring(t, client, anna())
	time.Sleep(ack.Interval)
	tokens, err := client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
	if err != nil {
		t.Fatal(err)
	}
	return client, tokens
}

func refresh(t *testing.T, client *ciba.Client, token string) (*ciba.Tokens, error) {
	t.Helper()
	return client.Refresh(t.Context(), ciba.RefreshRequest{RefreshToken: token, Expect: ciba.Expect{Subject: "anna@example.com"}})
}

func TestRefresh(t *testing.T) {
	for name, op := range map[string]*cibatest.Provider{
		"kept":             {},
		"rotated":          {RotateRefreshTokens: true},
		"without ID token": {RefreshWithoutIDToken: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, tokens := signedIn(t, op)
				access, first := tokens.AccessToken, tokens.RefreshToken
				for range 3 {
					before := tokens.RefreshToken
					var err error
					if tokens, err = refresh(t, client, before); err != nil {
						t.Fatal(err)
					}
					if tokens.AccessToken == access || tokens.RefreshToken == "" || (tokens.RefreshToken != before) != op.RotateRefreshTokens {
						t.Error("tokens are not what a refresh makes")
					}
					if (tokens.IDToken == nil) != op.RefreshWithoutIDToken {
						t.Error("ID token")
					}
					access = tokens.AccessToken
				}
				_, err := refresh(t, client, first) // a rotated one is spent
				if op.RotateRefreshTokens {
					wantClasses(t, err, ciba.ErrInvalidGrant)
				} else if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestRefreshForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const old = "old-refresh-token"
		var form url.Values
		var proof string
		answer := func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			r.ParseForm()
			form, proof = r.PostForm, r.Header.Get("DPoP")
			w.Header().Set("DPoP-Nonce", "n0nce")
			cibatest.JSON(200, `{"access_token":"a","token_type":"DPoP"}`)(w, r, nil)
		}
		op := &cibatest.Provider{Token: cibatest.Always(answer)}
		client := newClient(t, op, func(cfg *ciba.Config) { cfg.Auth = ciba.ClientSecretPost("s") })
		got, err := client.Refresh(t.Context(), ciba.RefreshRequest{
			RefreshToken: old, Scope: []string{"openid", "seat"}, Resource: []string{"urn:x", "urn:y"}, DPoPProof: "p.r.f",
		})
		if err != nil || got.DPoPNonce != "n0nce" || got.TokenType != "DPoP" || got.RefreshToken != old {
			t.Fatalf("refreshed: %v", err)
		}
		want := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {old}, "scope": {"openid seat"}, "resource": {"urn:x", "urn:y"},
			"client_id": {cibatest.ClientID}, "client_secret": {"s"},
		}
		if form.Encode() != want.Encode() || proof != "p.r.f" {
			t.Errorf("sent %d parameters, proof %q", len(form), proof)
		}
	})
}

// TestRefreshGoneWrong: what a refresh can end with, and that it is tried once.
func TestRefreshGoneWrong(t *testing.T) {
	tokenEdit := func(member string, value any) func(*cibatest.Provider) {
		return func(op *cibatest.Provider) { op.EditTokens = edits(member, value) }
	}
	idEdit := func(edit func(*cibatest.Draft)) func(*cibatest.Provider) {
		return func(op *cibatest.Provider) { op.EditIDToken = edit }
	}
	fault := func(f cibatest.Fault) func(*cibatest.Provider) {
		return func(op *cibatest.Provider) { op.Token = cibatest.Sequence(nil, f) }
	}
	for name, tc := range map[string]struct {
		edit    func(*cibatest.Provider)
		classes []error
	}{
		"answer lost":       {fault(cibatest.Lose()), lost},
		"answer breaks off": {fault(cibatest.BreakOff()), classes(ciba.ErrInterrupted)},
		"504":               {fault(cibatest.Busy(504, 0)), lost},
		"503":               {fault(cibatest.Busy(503, time.Second)), down},
		"429":               {fault(cibatest.Busy(429, time.Second)), down},
		"hangs":             {fault(cibatest.Hang()), lost},
		"invalid_grant":     {fault(cibatest.OAuthError(400, "invalid_grant")), classes(ciba.ErrInvalidGrant)},
		"invalid_scope":     {fault(cibatest.OAuthError(400, "invalid_scope")), classes(ciba.ErrInvalidRequest)},
		"invalid_target":    {fault(cibatest.OAuthError(400, "invalid_target")), classes(ciba.ErrInvalidRequest)},
		"use_dpop_nonce":    {fault(cibatest.OAuthError(400, "use_dpop_nonce")), classes(ciba.ErrUseDPoPNonce)},
		"HTML":              {fault(cibatest.HTML(200)), violation},
		"truncated":         {fault(cibatest.TruncatedJSON()), violation},
		"redirect":          {fault(cibatest.Redirect(307, "/elsewhere")), violation},
		"no access token":   {tokenEdit("access_token", nil), violation},
		"DPoP of a sudden":  {tokenEdit("token_type", "DPoP"), violation},
		"ID token a number": {tokenEdit("id_token", 7), violation},
		"ID token empty":    {tokenEdit("id_token", ""), classes(ciba.ErrProtocol, ciba.ErrIDToken)},
		"refresh a list":    {tokenEdit("refresh_token", []string{}), violation},
		"another person":    {idEdit(func(d *cibatest.Draft) { d.Claims["sub"] = "bela" }), classes(ciba.ErrProtocol, ciba.ErrIDToken, ciba.ErrWrongPerson)},
		"at_hash wrong":     {idEdit(func(d *cibatest.Draft) { d.Claims["at_hash"] = d.Hash("x") }), classes(ciba.ErrProtocol, ciba.ErrIDToken)},
		"rt_hash wrong":     {idEdit(func(d *cibatest.Draft) { d.Claims[claimRtHash] = d.Hash("x") }), classes(ciba.ErrProtocol, ciba.ErrIDToken)},
		"rt_hash right":     {idEdit(func(d *cibatest.Draft) { d.Claims[claimRtHash] = d.Hash(d.RefreshToken) }), nil},
		"unsigned":          {idEdit(func(d *cibatest.Draft) { d.Algorithm = "none" }), classes(ciba.ErrProtocol, ciba.ErrIDToken)},
		"key never seen":    {func(op *cibatest.Provider) { op.RotateKey() }, nil},
		"untouched is fine": {func(*cibatest.Provider) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := &cibatest.Provider{RotateRefreshTokens: true}
				armed := false
				arm(op, &armed, tc.edit)
				client, tokens := signedIn(t, op)
				armed = true
				if name == "key never seen" {
					time.Sleep(time.Minute) // the keys may be fetched again
					op.RotateKey()
				}
				got, err := refresh(t, client, tokens.RefreshToken)
				if tc.classes == nil && err != nil {
					t.Error(err)
				}
				if tc.classes != nil {
					wantClasses(t, err, tc.classes...)
					if got != nil {
						t.Error("tokens beside an error")
					}
				}
				if n := op.Stats().Token; n != 2 {
					t.Errorf("%d token requests, want 2", n)
				}
			})
		})
	}
}

// arm applies edit, but lets edits of tokens wait until the sign-in is over.
func arm(op *cibatest.Provider, armed *bool, edit func(*cibatest.Provider)) {
	edit(op)
	tokens, id := op.EditTokens, op.EditIDToken
	op.EditTokens = func(m map[string]any) {
		if *armed && tokens != nil {
			tokens(m)
		}
	}
	op.EditIDToken = func(d *cibatest.Draft) {
		if *armed && id != nil {
			id(d)
		}
	}
}

func TestRefreshErrors(t *testing.T) {
	op := &cibatest.Provider{}
	client := newClient(t, op)
	for field, req := range map[string]ciba.RefreshRequest{
		"RefreshToken": {},
		"Scope":        {RefreshToken: "r", Scope: []string{"a b"}},
		"Resource":     {RefreshToken: "r", Resource: []string{"/relative"}},
	} {
		_, err := client.Refresh(t.Context(), req)
		wantField(t, err, field)
	}
	_, err := client.Refresh(t.Context(), ciba.RefreshRequest{RefreshToken: "a\r\nb"})
	wantField(t, err, "RefreshToken")
	if op.Stats().Token != 0 {
		t.Error("something was sent")
	}
}

func TestRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{}
		client, tokens := signedIn(t, op)
		for _, token := range []string{tokens.RefreshToken, tokens.RefreshToken, "never-seen"} {
			if err := client.Revoke(t.Context(), token, ciba.HintRefreshToken); err != nil {
				t.Error(err)
			}
		}
		_, err := refresh(t, client, tokens.RefreshToken)
		wantClasses(t, err, ciba.ErrInvalidGrant)
		wantField(t, client.Revoke(t.Context(), "", ciba.HintNone), "token")
		wantField(t, client.Revoke(t.Context(), "a b", ciba.HintNone), "token")
		wantField(t, client.Revoke(t.Context(), strings.Repeat("x", 33<<10), ciba.HintNone), "token")
	})
}

func TestRevokeGoneWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		fault   cibatest.Fault
		classes []error
	}{
		"200 with HTML":          {cibatest.HTML(200), nil},
		"200 and too much":       {cibatest.Answer(200, "", strings.Repeat("x", 65<<10)), nil},
		"503":                    {cibatest.Busy(503, time.Minute), down},
		"lost":                   {cibatest.Lose(), lost},
		"hangs":                  {cibatest.Hang(), lost},
		"redirect":               {cibatest.Redirect(302, "/"), violation},
		"204":                    {cibatest.Answer(204, "", ""), violation},
		"unsupported_token_type": {cibatest.OAuthError(400, "unsupported_token_type"), classes(ciba.ErrInvalidRequest)},
		"invalid_client":         {cibatest.OAuthError(401, "invalid_client"), classes(ciba.ErrInvalidClient)},
		"HTML 400":               {cibatest.HTML(400), violation},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := &cibatest.Provider{Revocation: cibatest.Always(tc.fault)}
				err := newClient(t, op).Revoke(t.Context(), "token", ciba.HintAccessToken)
				if tc.classes == nil && err != nil {
					t.Error(err)
				}
				if tc.classes != nil {
					wantClasses(t, err, tc.classes...)
				}
				if op.Stats().Revocation != 1 {
					t.Errorf("%d requests", op.Stats().Revocation)
				}
			})
		})
	}
	op := &cibatest.Provider{EditMetadata: edits("revocation_endpoint", nil)}
	wantField(t, newClient(t, op).Revoke(t.Context(), "token", ciba.HintNone), "RevocationEndpoint")
}

// TestRefreshNeedsKeys: a refresh token is not spent on an ID token that could
// not be verified.
func TestRefreshNeedsKeys(t *testing.T) {
	op := &cibatest.Provider{Keys: cibatest.Always(cibatest.Busy(503, 0))}
	_, err := refresh(t, newClient(t, op), "token")
	wantClasses(t, err, ciba.ErrUnavailable)
	if op.Stats().Token != 0 {
		t.Error("the token was sent")
	}
}
