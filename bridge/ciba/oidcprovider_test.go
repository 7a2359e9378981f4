package ciba_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

// These tests run the client, over TLS, against a certified provider that
// nobody here wrote. It does not mind being asked before the interval is over,
// so they do not wait where they do not test waiting.

// oidcClients are the columns of the table. Each has ID tokens of another
// algorithm where it can, and secrets are such that only a correct form encoding
// gets them across.
func oidcClients() []oidcClient {
	const secret = "s3cret: 100% +/=&?-_~"
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	another := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	rsa2048 := must(rsa.GenerateKey(rand.Reader, 2048))
	anotherRSA := must(rsa.GenerateKey(rand.Reader, 2048))
	return []oidcClient{{
		name: "client_secret_basic", id: "till:7+basic", secret: secret, idAlg: "ES256",
		auth: ciba.ClientSecretBasic(secret), wrong: ciba.ClientSecretBasic(secret + "!"),
	}, {
		name: "client_secret_post", id: "till-7-post", secret: secret, idAlg: "PS256",
		auth: ciba.ClientSecretPost(secret), wrong: ciba.ClientSecretPost(secret + "!"),
	}, {
		name: "private_key_jwt ES256", id: "till-7-es256", key: p256, alg: "ES256", idAlg: "EdDSA",
		auth:  must(ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: p256, KeyID: "k1"})),
		wrong: must(ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: another, KeyID: "k1"})),
	}, {
		name: "private_key_jwt PS256", id: "till-7-ps256", key: rsa2048, alg: "PS256", idAlg: "ES256",
		auth:  must(ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: rsa2048, KeyID: "k1"})),
		wrong: must(ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: anotherRSA, KeyID: "k1"})),
	}}
}

// An oidcTrial is one cell of the table.
type oidcTrial struct {
	op     *oidcProvider
	as     oidcClient
	client *ciba.Client // of as
	other  *ciba.Client // another one
}

// oidcRows are the rows of the table: what happens, and the classes of the
// error that it must end in.
var oidcRows = []struct {
	name string
	try  func(oidcTrial, *testing.T) error
	want []error
}{
	{"approved", oidcTrial.approved, nil},
	{"not decided yet", oidcTrial.undecided, []error{ciba.ErrPending}},
	{"denied", oidcTrial.denied, []error{ciba.ErrDenied}},
	{"approved after it was denied", oidcTrial.deniedThenApproved, []error{ciba.ErrDenied}},
	{"nobody decided in time", oidcTrial.expired, []error{ciba.ErrExpired}},
	{"redeemed twice", oidcTrial.redeemedTwice, []error{ciba.ErrInvalidGrant}},
	{"redeemed by another client", oidcTrial.redeemedByAnother, []error{ciba.ErrInvalidGrant}},
	{"unknown user", oidcTrial.unknownUser, []error{ciba.ErrUnknownUser}},
	{"binding message with a blank", oidcTrial.bindingMessage, []error{ciba.ErrInvalidBindingMessage}},
	{"user code missing", userCode(""), []error{ciba.ErrUserCode}},
	{"user code wrong", userCode("1357"), []error{ciba.ErrUserCode}},
	{"user code right", userCode("2468"), nil},
	{"unknown resource", oidcTrial.unknownResource, []error{ciba.ErrInvalidRequest}},
	{"wrong secret or key, ringing", oidcTrial.wrongRinging, []error{ciba.ErrInvalidClient}},
	{"wrong secret or key, redeeming", oidcTrial.wrongRedeeming, []error{ciba.ErrInvalidClient}},
}

func TestInteropOIDCProvider(t *testing.T) {
	clients := oidcClients()
	op := startOIDCProvider(t, clients)
	cells := make([][]string, len(oidcRows))
	t.Run("poll", func(t *testing.T) {
		for i, row := range oidcRows {
			cells[i] = make([]string, len(clients))
			for j, as := range clients {
				t.Run(row.name+"/"+as.name, func(t *testing.T) {
					t.Parallel()
					next := clients[(j+1)%len(clients)]
					err := row.try(oidcTrial{op: op, as: as, client: op.client(t, as, as.auth), other: op.client(t, next, next.auth)}, t)
					if row.want != nil {
						wantClasses(t, err, row.want...)
					} else if err != nil {
						t.Error(err)
					}
					cells[i][j] = oidcCell(err)
				})
			}
		}
	})
	compareOIDCTable(t, clients, cells)
}

// oidcCell is what the provider answered in the end.
func oidcCell(err error) string {
	var e *ciba.Error
	switch {
	case err == nil:
		return "tokens"
	case errors.As(err, &e):
		return fmt.Sprintf("%d `%s`", e.Status, e.Code)
	default:
		return err.Error()
	}
}

// compareOIDCTable holds what happened against the table that is published.
func compareOIDCTable(t *testing.T, clients []oidcClient, cells [][]string) {
	t.Helper()
	if t.Failed() {
		return
	}
	var b strings.Builder
	b.WriteString("| poll |")
	for _, c := range clients {
		fmt.Fprintf(&b, " %s |", c.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(clients)) + "\n")
	for i, row := range oidcRows {
		fmt.Fprintf(&b, "| %s | %s |\n", row.name, strings.Join(cells[i], " | "))
	}
	want, err := os.ReadFile(oidcProviderDir + "/matrix.md")
	if err != nil || string(want) != b.String() {
		t.Errorf("the table in %s/matrix.md is not what happened, which is (%v):\n%s", oidcProviderDir, err, &b)
	}
}

func (c oidcTrial) redeem(t *testing.T, ack ciba.Acknowledgement, subject string) (*ciba.Tokens, error) {
	t.Helper()
	return c.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, Expect: ciba.Expect{Subject: subject}})
}

// approved: the phone shows what the device sent, and the answer is complete.
func (c oidcTrial) approved(t *testing.T) error {
	req := anna()
	req.Scope = []string{"openid", "offline_access", "seat"}
	req.BindingMessage = ciba.NewBindingMessage()
	requested := time.Now()
	ack := ring(t, c.client, req)
	if ack.Interval != ciba.DefaultInterval || ack.ExpiresIn <= 0 {
		t.Errorf("acknowledgement expires in %v with interval %v", ack.ExpiresIn, ack.Interval)
	}
	shown := c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	if shown["binding_message"] != req.BindingMessage || shown["login_hint"] != req.LoginHint {
		t.Errorf("the phone shows %v", shown)
	}
	tokens, err := c.client.RequestToken(t.Context(), ciba.TokenRequest{
		AuthReqID: ack.AuthReqID,
		Expect:    ciba.Expect{Subject: "anna", RequestedAt: requested, RequireAuthTime: true},
	})
	if err != nil {
		return err
	}
	if tokens.TokenType != "Bearer" || tokens.ExpiresIn <= 0 || tokens.RefreshToken == "" {
		t.Errorf("%s token for %v, %d bytes of refresh token", tokens.TokenType, tokens.ExpiresIn, len(tokens.RefreshToken))
	}
	if got := strings.Join(tokens.Scope, " "); got != "openid offline_access seat" {
		t.Errorf("scope %q", got)
	}
	if tokens.IDToken.Algorithm != c.as.idAlg || tokens.IDToken.Audience[0] != c.as.id {
		t.Errorf("ID token is signed with %s for %q", tokens.IDToken.Algorithm, tokens.IDToken.Audience)
	}
	return nil
}

func (c oidcTrial) undecided(t *testing.T) error {
	_, err := c.redeem(t, ring(t, c.client, anna()), "anna")
	return err
}

func (c oidcTrial) denied(t *testing.T) error {
	ack := ring(t, c.client, anna())
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID, Deny: true})
	_, err := c.redeem(t, ack, "anna")
	return err
}

func (c oidcTrial) deniedThenApproved(t *testing.T) error {
	ack := ring(t, c.client, anna())
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID, Deny: true})
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	_, err := c.redeem(t, ack, "anna")
	return err
}

// expired asks until the provider says anything else than that nobody has
// decided yet.
func (c oidcTrial) expired(t *testing.T) error {
	req := anna()
	req.RequestedExpiry = time.Second
	ack := ring(t, c.client, req)
	if ack.ExpiresIn != time.Second {
		t.Errorf("requested a second, got %v", ack.ExpiresIn)
	}
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		if _, err := c.redeem(t, ack, "anna"); !errors.Is(err, ciba.ErrPending) {
			return err
		}
		<-pause.C
	}
}

// redeemedTwice: the second time revokes what the first time gave.
func (c oidcTrial) redeemedTwice(t *testing.T) error {
	ack := ring(t, c.client, anna())
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	tokens, err := c.redeem(t, ack, "anna")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.op.introspect(t, c.as, tokens.AccessToken); got["active"] != true || got["sub"] != "anna" {
		t.Errorf("new access token is %v", got)
	}
	_, err = c.redeem(t, ack, "anna")
	if got := c.op.introspect(t, c.as, tokens.AccessToken); got["active"] != false {
		t.Errorf("access token of a request that was redeemed twice is %v", got)
	}
	return err
}

// redeemedByAnother: and it remains good for its own client.
func (c oidcTrial) redeemedByAnother(t *testing.T) error {
	ack := ring(t, c.client, anna())
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	_, stolen := c.other.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
	if _, err := c.redeem(t, ack, "anna"); err != nil {
		t.Errorf("its own client, afterwards: %v", err)
	}
	return stolen
}

func (c oidcTrial) ring(t *testing.T, edit func(*ciba.AuthenticationRequest)) error {
	t.Helper()
	req := anna()
	edit(&req)
	_, err := c.client.RequestAuthentication(t.Context(), req)
	return err
}

func (c oidcTrial) unknownUser(t *testing.T) error {
	return c.ring(t, func(r *ciba.AuthenticationRequest) { r.LoginHint = "nobody@example.com" })
}

func (c oidcTrial) bindingMessage(t *testing.T) error {
	return c.ring(t, func(r *ciba.AuthenticationRequest) { r.BindingMessage = "4K7 P2X" })
}

func (c oidcTrial) unknownResource(t *testing.T) error {
	return c.ring(t, func(r *ciba.AuthenticationRequest) {
		r.Extra = map[string][]string{"resource": {"https://boat.example.com/"}}
	})
}

// userCode rings bela, whose phone rings only for who knows the code.
func userCode(code string) func(oidcTrial, *testing.T) error {
	return func(c oidcTrial, t *testing.T) error {
		req := anna()
		req.LoginHint, req.UserCode = "bela@example.com", code
		ack, err := c.client.RequestAuthentication(t.Context(), req)
		if err != nil {
			return err
		}
		c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
		_, err = c.redeem(t, ack, "bela")
		return err
	}
}

func (c oidcTrial) wrongRinging(t *testing.T) error {
	_, err := c.op.client(t, c.as, c.as.wrong).RequestAuthentication(t.Context(), anna())
	return err
}

// wrongRedeeming: and the request remains good.
func (c oidcTrial) wrongRedeeming(t *testing.T) error {
	ack := ring(t, c.client, anna())
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	_, refused := c.op.client(t, c.as, c.as.wrong).RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
	if _, err := c.redeem(t, ack, "anna"); err != nil {
		t.Errorf("with the right one, afterwards: %v", err)
	}
	return refused
}
