package ciba_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// These are the modules of the OpenID Foundation's plan for relying parties,
// fapi-ciba-id1-client-test-plan, by the names that the suite gives them. Each
// is played here against cibatest, in the mode that it is for, by a client with
// profile fapi-ciba, private_key_jwt and signed requests. They say what this client does,
// not that it has been certified: the suite itself has not been run.
//
// docs/conformance.md has the table of what came out.
var conformance = []conformanceCase{
	{module: "test", mode: "poll", op: fapi(nil)},
	{module: "test", mode: "ping", op: fapi(nil)},
	{module: "refresh-token-test", op: fapi(func(p *cibatest.Provider) { p.RefreshTokens, p.RotateRefreshTokens = true, true }), then: refreshTwice},
	{module: "valid-aud-as-array-test", op: claims(func(c map[string]any) { c["aud"] = []string{cibatest.ClientID} })},
	{module: "no-scope-in-token-endpoint-response-test", op: fapi(func(p *cibatest.Provider) {
		p.EditTokens = func(m map[string]any) { delete(m, "scope"); delete(m, "expires_in") }
	})},
	{module: "respects-interval-test", op: fapi(func(p *cibatest.Provider) { p.Interval = 31 * time.Second }), took: 31 * time.Second},
	{module: "slow-down-test", op: fapi(func(p *cibatest.Provider) {
		p.Token = cibatest.Sequence(cibatest.OAuthError(400, "authorization_pending"), cibatest.SlowDown(0, 0))
	}), took: 20 * time.Second},

	{module: "invalid-missing-authreqid-test", op: fapi(func(p *cibatest.Provider) { p.EditAck = edits("auth_req_id", nil) }), class: ciba.ErrProtocol},
	{module: "invalid-missing-expiresin-test", op: fapi(func(p *cibatest.Provider) { p.EditAck = edits("expires_in", nil) }), class: ciba.ErrProtocol},
	{module: "invalid-expired-id-token-hint-test", op: ackError("expired_id_token_hint"), class: ciba.ErrUnknownUser},
	{module: "invalid-unknown-user-id-test", op: ackError("unknown_user_id"), class: ciba.ErrUnknownUser},
	{module: "invalid-id-token-hint-test", op: ackError("invalid_id_token_hint"), class: ciba.ErrUnknownUser},

	{module: "invalid-request-test", op: tokenError("invalid_request"), class: ciba.ErrInvalidRequest},
	{module: "invalid-access-denied-test", op: tokenError("access_denied"), class: ciba.ErrDenied},
	{module: "invalid-expired-token-test", op: tokenError("expired_token"), class: ciba.ErrExpired},

	{module: "invalid-iss-test", op: claims(func(c map[string]any) { c["iss"] = "https://op.test/other" }), check: ciba.CheckIssuer},
	{module: "invalid-aud-test", op: claims(func(c map[string]any) { c["aud"] = "other" }), check: ciba.CheckAudience},
	{module: "invalid-secondary-aud-test", op: claims(func(c map[string]any) { c["aud"] = []string{cibatest.ClientID, "other"} }), check: ciba.CheckParty},
	{module: "invalid-signature-test", op: draft(func(d *cibatest.Draft) { d.Key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }), check: ciba.CheckSignature},
	{module: "invalid-null-alg-test", op: draft(func(d *cibatest.Draft) { d.Algorithm = "none" }), check: ciba.CheckAlg},
	{module: "invalid-alternate-alg-test", op: fapi(func(p *cibatest.Provider) { p.Algorithm = "RS256" }), check: ciba.CheckAlg},
	{module: "invalid-expired-exp-test", op: claims(func(c map[string]any) { c["exp"] = time.Now().Unix() - 300 }), check: ciba.CheckExpiry},
	{module: "invalid-iat-is-week-in-past-test", op: claims(func(c map[string]any) { c["iat"] = time.Now().Unix() - 7*24*3600 }), check: ciba.CheckIssuedAt},
	{module: "invalid-missing-aud-test", op: claims(func(c map[string]any) { delete(c, "aud") }), check: ciba.CheckAudience},
	{module: "invalid-missing-exp-test", op: claims(func(c map[string]any) { delete(c, "exp") }), check: ciba.CheckExpiry},
	{module: "invalid-missing-iss-test", op: claims(func(c map[string]any) { delete(c, "iss") }), check: ciba.CheckIssuer},
	{module: "connectid-invalid-missing-txn-test", skip: profileClaims},
	{module: "connectid-invalid-missing-trust-framework-test", skip: profileClaims},
	{module: "connectid-invalid-wrong-trust-framework-test", skip: profileClaims},

	{module: "ping-with-invalid-bearer-token-test", mode: "ping", op: pingedBy(func(n cibatest.Notification) []cibatest.Notification {
		return []cibatest.Notification{n.WithHeader("Authorization", "Bearer wrong")}
	}), replies: []int{401}},
	{module: "ping-without-bearer-token-test", mode: "ping", op: pingedBy(func(n cibatest.Notification) []cibatest.Notification {
		return []cibatest.Notification{n.WithHeader("Authorization", "")}
	}), replies: []int{401}},
	{module: "ping-with-wrong-auth-req-id-test", mode: "ping", op: pingedBy(func(n cibatest.Notification) []cibatest.Notification {
		return []cibatest.Notification{n.With("auth_req_id", "wrong")}
	}), replies: []int{401}},
	{module: "ping-duplicate-notification-test", mode: "ping", op: pingedBy(func(n cibatest.Notification) []cibatest.Notification {
		return []cibatest.Notification{n, n}
	}), replies: []int{204, 204}, again: true},
	{module: "ping-mode-poll-fallback-test", mode: "ping", op: pingedBy(func(cibatest.Notification) []cibatest.Notification { return nil }), took: ciba.PingFallback},
	{module: "ping-without-mtls-certificate-test", mode: "ping", op: fapi(nil), peer: true, replies: []int{401}},
}

const profileClaims = "none: the claim is of ConnectID, and a caller finds it in IDToken.Claims"

// A conformanceCase is one module.
type conformanceCase struct {
	module string // after "fapi-ciba-id1-client-"
	mode   string // "" for poll
	op     func() *cibatest.Provider
	// class or check is what ends the sign-in; neither if it succeeds.
	class error
	check ciba.Check
	// took is how long it takes if it matters; 0 if not.
	took    time.Duration
	replies []int // to pings: those with 401 must lead to no request
	again   bool  // another ping when all is over
	peer    bool  // the provider must prove itself with a certificate
	then    func(*testing.T, *ciba.Client, *ciba.Tokens)
	skip    string
}

// fapi makes a provider that demands what FAPI-CIBA has clients do.
func fapi(edit func(*cibatest.Provider)) func() *cibatest.Provider {
	return func() *cibatest.Provider {
		op := &cibatest.Provider{SlowDown: true}
		if edit != nil {
			edit(op)
		}
		return op
	}
}

func draft(edit func(*cibatest.Draft)) func() *cibatest.Provider {
	return fapi(func(p *cibatest.Provider) { p.EditIDToken = edit })
}

func claims(edit func(map[string]any)) func() *cibatest.Provider {
	return draft(func(d *cibatest.Draft) { edit(d.Claims) })
}

func ackError(code string) func() *cibatest.Provider {
	return fapi(func(p *cibatest.Provider) { p.Backchannel = cibatest.Always(cibatest.OAuthError(400, code)) })
}

func tokenError(code string) func() *cibatest.Provider {
	return fapi(func(p *cibatest.Provider) { p.Token = cibatest.Always(cibatest.OAuthError(400, code)) })
}

func pingedBy(edit func(cibatest.Notification) []cibatest.Notification) func() *cibatest.Provider {
	return fapi(func(p *cibatest.Provider) { p.EditNotification = edit })
}

func refreshTwice(t *testing.T, client *ciba.Client, tokens *ciba.Tokens) {
	for range 2 {
		next, err := refresh(t, client, tokens.RefreshToken)
		if err != nil {
			t.Fatal(err)
		}
		tokens = next
	}
}

func TestConformance(t *testing.T) {
	var rows []string
	for _, c := range conformance {
		c.mode = cmp.Or(c.mode, "poll")
		if c.skip != "" {
			rows = append(rows, c.row(c.skip))
			continue
		}
		t.Run(c.mode+"/"+conformancePrefix+c.module, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.play(t, c.mode) })
			if !t.Failed() {
				rows = append(rows, c.row("passes"))
			}
		})
	}
	if len(rows) == len(conformance) { // and not just some of them were asked for
		holdLines(t, "../../docs/conformance.md", "modules", "| `", strings.Join(rows, ""))
	}
}

const conformancePrefix = "fapi-ciba-id1-client-"

// row is the line of the case in the table.
func (c conformanceCase) row(status string) string {
	return fmt.Sprintf("| `%s%s` | %s | %s | %s |\n", conformancePrefix, c.module, c.mode, c.end(), status)
}

// end says in words how a case must end.
func (c conformanceCase) end() string {
	var end string
	switch {
	case c.skip != "":
		return ""
	case c.check != "":
		end = fmt.Sprintf("ID token refused for its `%s`", c.check)
	case c.class != nil:
		end = strings.TrimPrefix(c.class.Error(), "ciba: ")
	case slices.Contains(c.replies, http.StatusUnauthorized):
		return "ping answered with 401, and nothing asked"
	default:
		end = "tokens"
	}
	if c.took != 0 {
		end += fmt.Sprintf(", after %v", c.took)
	}
	return end
}

// TestConformanceIsComplete: the plan's modules, counted, so that none is lost.
func TestConformanceIsComplete(t *testing.T) {
	modules := map[string]bool{}
	for _, c := range conformance {
		modules[c.module] = true
		if (c.skip == "") != (c.op != nil) {
			t.Errorf("%s has neither a provider nor a reason", c.module)
		}
	}
	if len(modules) != 34 {
		t.Errorf("%d modules, want 34: %q", len(modules), slices.Sorted(maps.Keys(modules)))
	}
}

// play signs in as a caller of this package would.
func (c *conformanceCase) play(t *testing.T, mode string) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	strict, how := signing(key, "ES256")
	op := c.op()
	op.ClientKeys, op.RequestAlgs, op.RequireSignedRequest = strict.ClientKeys, strict.RequestAlgs, true
	op.AutoApprove = 4 * time.Second
	if mode == "ping" {
		op.Delivery = "ping"
	}
	d := newDesk(t, &cibatest.Provider{Delivery: "ping"})
	d.client = newClient(t, op, func(cfg *ciba.Config) {
		cfg.Profile, cfg.RequestSigning, cfg.Auth = row(t, "fapi-ciba"), how, must(ciba.PrivateKeyJWT(how.Key))
		cfg.Delivery = ciba.DeliveryMode(mode)
	})
	if mode == "ping" {
		cfg := ciba.NotificationConfig{Client: d.client, Tokens: d.tokens, SignIn: d.signIn, Pinged: d.pinged}
		if c.peer {
			cfg.VerifyPeer = demandCertificate
		}
		op.Endpoint = must(ciba.NewNotificationHandler(cfg))
	}
	start := time.Now()
	tokens, requests, err := d.signInBy(t, mode, len(c.replies) > 0 && c.replies[0] == http.StatusUnauthorized)
	c.judge(t, tokens, err)
	if took := time.Since(start); c.took != 0 && took != c.took {
		t.Errorf("took %v, want %v", took, c.took)
	}
	if c.replies != nil {
		synctest.Wait() // the provider may have more to say
		wantReplies(t, op, c.replies...)
	}
	if c.again {
		d.pingAgain(t, op)
	}
	if s := op.Stats(); s.Early+s.Overlapping+s.AfterEnd != 0 || s.Token != requests {
		t.Errorf("the provider saw %+v", s)
	}
	if c.then != nil && tokens != nil {
		c.then(t, d.client, tokens)
	}
}

// pingAgain repeats the ping for a sign-in that has its tokens: it is accepted,
// and the Poll of a sign-in that is over is not asked again by anybody.
func (d *desk) pingAgain(t *testing.T, op *cibatest.Provider) {
	t.Helper()
	status := op.Send(cibatest.Notification{
		Method: http.MethodPost,
		Header: http.Header{"Authorization": {"Bearer " + must(d.tokens.Mint("s1"))}, "Content-Type": {"application/json"}},
		Body:   map[string]any{"auth_req_id": d.signIns["s1"].AuthReqID},
	})
	if status != http.StatusNoContent {
		t.Errorf("a ping after the end was answered with %d", status)
	}
}

func (c *conformanceCase) judge(t *testing.T, tokens *ciba.Tokens, err error) {
	t.Helper()
	var e *ciba.IDTokenError
	switch {
	case c.check != "" && (!errors.As(err, &e) || e.Check != c.check):
		t.Errorf("ended with %v, want a refusal for %s", err, c.check)
	case c.class != nil:
		wantClasses(t, err, c.class)
	case c.check == "" && len(c.replies) > 0 && c.replies[0] == http.StatusUnauthorized:
		if tokens != nil || err != nil {
			t.Errorf("a refused ping led to tokens or to %v", err)
		}
	case c.check == "" && err != nil:
		t.Errorf("refused: %v", err)
	}
	if tokens != nil && err != nil {
		t.Error("tokens beside an error")
	}
}

func demandCertificate(s *tls.ConnectionState) error {
	if s == nil || len(s.PeerCertificates) == 0 {
		return errors.New("no certificate")
	}
	return nil
}

// signInBy signs in with a Poll, and counts the token requests. With refused,
// no ping is believed, and it stops before the slow fallback would ask.
func (d *desk) signInBy(t *testing.T, mode string, refused bool) (*ciba.Tokens, int, error) {
	t.Helper()
	start := time.Now()
	d.signIns["s1"] = ciba.SignIn{}
	req := anna()
	if mode == "ping" {
		req.NotificationToken = must(d.tokens.Mint("s1"))
	}
	ack, err := d.client.RequestAuthentication(t.Context(), req)
	if err != nil {
		return nil, 0, err
	}
	expect := ciba.Expect{Subject: "anna@example.com", RequestedAt: start}
	d.signIns["s1"] = ciba.SignIn{AuthReqID: ack.AuthReqID, Expect: expect}
	poll, heard := ciba.NewPoll(ack, time.Now()), 0
	if mode == "ping" {
		poll = ciba.NewPingPoll(ack, time.Now())
	}
	for n := 0; ; {
		d.mu.Lock()
		if len(d.pings) > heard {
			heard, poll = len(d.pings), poll.AfterPing(time.Now())
		}
		d.mu.Unlock()
		switch {
		case refused && time.Since(start) > 30*time.Second:
			return nil, n, nil
		case time.Now().Before(poll.Due):
			time.Sleep(time.Second)
			continue
		}
		sent := time.Now()
		tokens, err := d.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, Expect: expect})
		n++
		var outcome ciba.Outcome
		if poll, outcome = poll.After(sent, time.Now(), err); outcome.Final() {
			return tokens, n, err
		}
	}
}
