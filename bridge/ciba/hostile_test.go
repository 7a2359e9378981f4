package ciba_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// A hostile provider, and what becomes of a sign-in that it would approve after
// seven seconds.
type hostile struct {
	name string
	op   *cibatest.Provider
	// classes are those of the error; none means that the sign-in succeeds.
	classes []error
	// took is how long it takes until then.
	took time.Duration
	// says is a part of the error's text.
	says string
	// redeemed is how often the provider gave tokens.
	redeemed int
}

func classes(list ...error) []error { return list }

func always(f cibatest.Fault) cibatest.Script           { return cibatest.Always(f) }
func sequence(faults ...cibatest.Fault) cibatest.Script { return cibatest.Sequence(faults...) }

func edits(name string, value any) func(map[string]any) {
	return func(m map[string]any) {
		if value == nil {
			delete(m, name)
		} else {
			m[name] = value
		}
	}
}

var (
	down      = classes(ciba.ErrUnavailable)
	lost      = classes(ciba.ErrUnavailable, ciba.ErrInterrupted)
	violation = classes(ciba.ErrProtocol)
)

// hostileDiscovery, hostileAck and hostileTokens are lists of functions' results
// so that each test gets providers of its own.
func hostileDiscovery() []hostile {
	return []hostile{
		{name: "discovery 500", op: &cibatest.Provider{Discovery: always(cibatest.Busy(500, 0))}, classes: down},
		{name: "discovery 503 once", op: &cibatest.Provider{Discovery: sequence(cibatest.Busy(503, time.Second))}, classes: down},
		{name: "discovery 404", op: &cibatest.Provider{Discovery: always(cibatest.HTML(404))}, classes: violation, says: "404"},
		{name: "discovery HTML", op: &cibatest.Provider{Discovery: always(cibatest.HTML(200))}, classes: violation, says: `content type "text/html`},
		{name: "discovery redirect", op: &cibatest.Provider{Discovery: always(cibatest.Redirect(302, "/.well-known/other"))}, classes: violation, says: "status 302"},
		{name: "discovery truncated", op: &cibatest.Provider{Discovery: always(cibatest.TruncatedJSON())}, classes: violation},
		{name: "discovery huge", op: &cibatest.Provider{Discovery: always(cibatest.Huge(257 << 10))}, classes: violation, says: "more than 262144 bytes"},
		{name: "discovery breaks off", op: &cibatest.Provider{Discovery: always(cibatest.BreakOff())}, classes: down},
		{name: "discovery hangs", op: &cibatest.Provider{Discovery: always(cibatest.Hang())}, classes: down, took: 10 * time.Second},
		{name: "discovery duplicate member", op: &cibatest.Provider{Discovery: always(cibatest.JSON(200, `{"issuer":"https://op.test","issuer":"https://op.test"}`))}, classes: violation, says: "unique members"},
		{name: "discovery not an object", op: &cibatest.Provider{Discovery: always(cibatest.JSON(200, `["https://op.test"]`))}, classes: violation},
		{name: "discovery null", op: &cibatest.Provider{Discovery: always(cibatest.JSON(200, `null`))}, classes: violation},
		{name: "issuer missing", op: &cibatest.Provider{EditMetadata: edits("issuer", nil)}, classes: violation, says: "issuer"},
		{name: "issuer with a slash more", op: &cibatest.Provider{EditMetadata: edits("issuer", "https://op.test/")}, classes: violation, says: `"https://op.test/", want exactly "https://op.test"`},
		{name: "issuer of somebody else", op: &cibatest.Provider{EditMetadata: edits("issuer", "https://evil.test")}, classes: violation},
		{name: "token endpoint missing", op: &cibatest.Provider{EditMetadata: edits("token_endpoint", nil)}, classes: violation, says: `"token_endpoint" is missing`},
		{name: "token endpoint http", op: &cibatest.Provider{EditMetadata: edits("token_endpoint", "http://op.test/token")}, classes: violation, says: "https is required"},
		{name: "token endpoint too long", op: &cibatest.Provider{EditMetadata: edits("token_endpoint", "https://op.test/"+strings.Repeat("x", 1024))}, classes: violation, says: "at most 1024"},
		{name: "token endpoint relative", op: &cibatest.Provider{EditMetadata: edits("token_endpoint", "/token")}, classes: violation},
		{name: "token endpoint a number", op: &cibatest.Provider{EditMetadata: edits("token_endpoint", 7)}, classes: violation, says: "not a string"},
		{name: "backchannel endpoint missing", op: &cibatest.Provider{EditMetadata: edits("backchannel_authentication_endpoint", nil)}, classes: violation, says: `"backchannel_authentication_endpoint" is missing`},
		{name: "key set missing", op: &cibatest.Provider{EditMetadata: edits("jwks_uri", nil)}, classes: violation, says: `"jwks_uri" is missing`},
		{name: "delivery modes missing", op: &cibatest.Provider{EditMetadata: edits("backchannel_token_delivery_modes_supported", nil)}, classes: violation, says: "no CIBA"},
		{name: "delivery modes a string", op: &cibatest.Provider{EditMetadata: edits("backchannel_token_delivery_modes_supported", "poll")}, classes: violation, says: "array of strings"},
		{name: "delivery modes numbers", op: &cibatest.Provider{EditMetadata: edits("backchannel_token_delivery_modes_supported", []int{1})}, classes: violation, says: "array of strings"},
		{name: "alias http", op: &cibatest.Provider{EditMetadata: edits("mtls_endpoint_aliases", map[string]any{"token_endpoint": "http://op.test/t"})}, classes: violation, says: "mtls_endpoint_aliases.token_endpoint"},

		{name: "keys 500", op: &cibatest.Provider{Keys: always(cibatest.Busy(500, 0))}, classes: down},
		{name: "keys HTML", op: &cibatest.Provider{Keys: always(cibatest.HTML(200))}, classes: violation},
		{name: "keys truncated", op: &cibatest.Provider{Keys: always(cibatest.TruncatedJSON())}, classes: violation},
		{name: "keys empty", op: &cibatest.Provider{EditKeys: edits("keys", []any{})}, classes: violation, says: "no usable"},
		{name: "keys missing", op: &cibatest.Provider{EditKeys: edits("keys", nil)}, classes: violation},
		{name: "keys symmetric only", op: &cibatest.Provider{EditKeys: edits("keys", []any{map[string]any{"kty": "oct", "k": "c2VjcmV0"}})}, classes: violation},
		{name: "keys too many", op: &cibatest.Provider{EditKeys: edits("keys", make([]map[string]any, 101))}, classes: violation, says: "more than 100"},
		{name: "keys huge", op: &cibatest.Provider{Keys: always(cibatest.Huge(257 << 10))}, classes: violation},
	}
}

func hostileAck() []hostile {
	return []hostile{
		{name: "ack 503", op: &cibatest.Provider{Backchannel: always(cibatest.Busy(503, time.Minute))}, classes: down, says: "503"},
		{name: "ack 500 JSON", op: &cibatest.Provider{Backchannel: always(cibatest.OAuthError(500, "server_error"))}, classes: down},
		{name: "ack 429", op: &cibatest.Provider{Backchannel: always(cibatest.Busy(429, time.Minute))}, classes: down},
		{name: "ack 429 JSON", op: &cibatest.Provider{Backchannel: always(cibatest.OAuthError(429, "access_denied"))}, classes: down},
		{name: "ack 502", op: &cibatest.Provider{Backchannel: always(cibatest.Busy(502, 0))}, classes: lost},
		{name: "ack 504", op: &cibatest.Provider{Backchannel: always(cibatest.Busy(504, 0))}, classes: lost},
		{name: "ack HTML", op: &cibatest.Provider{Backchannel: always(cibatest.HTML(200))}, classes: violation},
		{name: "ack HTML 403", op: &cibatest.Provider{Backchannel: always(cibatest.HTML(403))}, classes: violation},
		{name: "ack redirect 307", op: &cibatest.Provider{Backchannel: always(cibatest.Redirect(307, "https://op.test/token"))}, classes: violation, says: "307"},
		{name: "ack 201", op: &cibatest.Provider{Backchannel: always(cibatest.Status(201))}, classes: violation},
		{name: "ack truncated", op: &cibatest.Provider{Backchannel: always(cibatest.TruncatedJSON())}, classes: violation},
		{name: "ack huge", op: &cibatest.Provider{Backchannel: always(cibatest.Huge(65 << 10))}, classes: violation, says: "more than 65536 bytes"},
		{name: "ack just not huge", op: &cibatest.Provider{Backchannel: always(cibatest.Huge(64 << 10))}, took: 10 * time.Second, redeemed: 1},
		{name: "ack wrong media type", op: &cibatest.Provider{Backchannel: always(cibatest.MediaType("text/plain"))}, classes: violation},
		{name: "ack no media type", op: &cibatest.Provider{Backchannel: always(cibatest.MediaType(""))}, classes: violation},
		{name: "ack with charset", op: &cibatest.Provider{Backchannel: always(cibatest.MediaType("application/json; charset=UTF-8"))}, took: 10 * time.Second, redeemed: 1},
		{name: "ack lost", op: &cibatest.Provider{Backchannel: always(cibatest.Lose())}, classes: lost},
		{name: "ack breaks off", op: &cibatest.Provider{Backchannel: always(cibatest.BreakOff())}, classes: classes(ciba.ErrInterrupted)},
		{name: "ack hangs", op: &cibatest.Provider{Backchannel: always(cibatest.Hang())}, classes: lost, took: 30 * time.Second},
		{name: "auth_req_id missing", op: &cibatest.Provider{EditAck: edits("auth_req_id", nil)}, classes: violation, says: "auth_req_id"},
		{name: "auth_req_id empty", op: &cibatest.Provider{EditAck: edits("auth_req_id", "")}, classes: violation},
		{name: "auth_req_id a number", op: &cibatest.Provider{EditAck: edits("auth_req_id", 12)}, classes: violation},
		{name: "auth_req_id with a line break", op: &cibatest.Provider{EditAck: edits("auth_req_id", "a\nb")}, classes: violation},
		{name: "auth_req_id too long", op: &cibatest.Provider{EditAck: edits("auth_req_id", strings.Repeat("x", 8193))}, classes: violation, says: "at most 8192"},
		{name: "expires_in missing", op: &cibatest.Provider{EditAck: edits("expires_in", nil)}, classes: violation, says: `"expires_in" is missing`},
		{name: "expires_in negative", op: &cibatest.Provider{EditAck: edits("expires_in", -7)}, classes: violation, says: "whole number from 1 to 604800"},
		{name: "expires_in zero", op: &cibatest.Provider{EditAck: edits("expires_in", 0)}, classes: violation},
		{name: "expires_in huge", op: &cibatest.Provider{EditAck: edits("expires_in", 1e9)}, classes: violation},
		{name: "expires_in a string", op: &cibatest.Provider{EditAck: edits("expires_in", "120")}, classes: violation},
		{name: "expires_in a fraction", op: &cibatest.Provider{EditAck: edits("expires_in", 120.5)}, classes: violation},
		{name: "expires_in overflows", op: &cibatest.Provider{Backchannel: always(cibatest.JSON(200, `{"auth_req_id":"x","expires_in":99999999999999999999}`))}, classes: violation},
		{name: "expires_in twice", op: &cibatest.Provider{Backchannel: always(cibatest.JSON(200, `{"auth_req_id":"x","expires_in":60,"expires_in":600}`))}, classes: violation},
		{name: "wrong case is missing", op: &cibatest.Provider{Backchannel: always(cibatest.JSON(200, `{"auth_req_id":"x","Expires_In":60}`))}, classes: violation, says: `"expires_in" is missing`},
		{name: "invalid UTF-8", op: &cibatest.Provider{Backchannel: always(cibatest.JSON(200, "{\"auth_req_id\":\"x\xff\",\"expires_in\":60}"))}, classes: violation, says: "UTF-8"},
		{name: "interval missing is 5 s", op: &cibatest.Provider{EditAck: edits("interval", nil)}, took: 10 * time.Second, redeemed: 1},
		{name: "interval zero is 5 s", op: &cibatest.Provider{EditAck: edits("interval", 0)}, took: 10 * time.Second, redeemed: 1},
		{name: "interval long is kept", op: &cibatest.Provider{Interval: 25 * time.Second}, took: 25 * time.Second, redeemed: 1},
		{name: "interval negative", op: &cibatest.Provider{EditAck: edits("interval", -5)}, classes: violation, says: "whole number from 0 to 3600"},
		{name: "interval huge", op: &cibatest.Provider{EditAck: edits("interval", 86400)}, classes: violation},
		{name: "unknown person", op: &cibatest.Provider{Subject: func(string) (string, bool) { return "", false }}, classes: classes(ciba.ErrUnknownUser), says: "unknown_user_id"},
	}
}

func ackCode(code string, status int, class error) hostile {
	return hostile{
		name:    fmt.Sprintf("ack %s %d", code, status),
		op:      &cibatest.Provider{Backchannel: always(cibatest.OAuthError(status, code))},
		classes: classes(class),
		says:    code,
	}
}

func hostileAckCodes() []hostile {
	return []hostile{
		ackCode("invalid_request", 400, ciba.ErrInvalidRequest),
		ackCode("invalid_scope", 400, ciba.ErrInvalidRequest),
		ackCode("invalid_target", 400, ciba.ErrInvalidRequest),
		ackCode("invalid_authorization_details", 400, ciba.ErrInvalidRequest),
		ackCode("expired_login_hint_token", 400, ciba.ErrUnknownUser),
		ackCode("unknown_user_id", 400, ciba.ErrUnknownUser),
		ackCode("expired_id_token_hint", 400, ciba.ErrUnknownUser),
		ackCode("invalid_id_token_hint", 400, ciba.ErrUnknownUser),
		ackCode("unauthorized_client", 400, ciba.ErrInvalidClient),
		ackCode("invalid_client", 401, ciba.ErrInvalidClient),
		ackCode("missing_user_code", 400, ciba.ErrUserCode),
		ackCode("invalid_user_code", 400, ciba.ErrUserCode),
		ackCode("invalid_binding_message", 400, ciba.ErrInvalidBindingMessage),
		ackCode("access_denied", 403, ciba.ErrDenied),
		ackCode("temporarily_unavailable", 400, ciba.ErrUnavailable),
		ackCode("unheard_of", 400, ciba.ErrInvalidRequest),
		ackCode("unheard_of", 401, ciba.ErrInvalidClient),
	}
}

func hostilePolls() []hostile {
	const s = time.Second
	return []hostile{
		{name: "slow_down once", op: &cibatest.Provider{Token: sequence(cibatest.SlowDown(0, 0))}, took: 15 * s, redeemed: 1},
		{name: "slow_down with Retry-After", op: &cibatest.Provider{Token: sequence(cibatest.SlowDown(40*s, 0))}, took: 45 * s, redeemed: 1},
		{name: "slow_down with interval", op: &cibatest.Provider{Token: sequence(cibatest.SlowDown(0, 30*s))}, took: 35 * s, redeemed: 1},
		{name: "slow_down for ever", op: &cibatest.Provider{Token: always(cibatest.SlowDown(0, 0))}, classes: classes(ciba.ErrExpired), took: 118 * s},
		{name: "long poll", op: &cibatest.Provider{LongPoll: 30 * s}, took: 7 * s, redeemed: 1},
		{name: "long poll answers pending after 30 s", op: &cibatest.Provider{Token: sequence(cibatest.Delay(30*s), nil)}, took: 35 * s, redeemed: 1},
		{name: "503 with Retry-After, then tokens", op: &cibatest.Provider{Token: sequence(cibatest.Busy(503, 20*s))}, took: 25 * s, redeemed: 1},
		{name: "429 three times, then tokens", op: &cibatest.Provider{Token: sequence(cibatest.Busy(429, 0), cibatest.Busy(429, 0), cibatest.Busy(429, 0))}, took: 40 * s, redeemed: 1},
		{name: "504 once, then tokens", op: &cibatest.Provider{Token: sequence(cibatest.Busy(504, 0))}, took: 10 * s, redeemed: 1},
		{name: "503 for ever", op: &cibatest.Provider{Token: always(cibatest.Busy(503, 0))}, classes: down, took: 118 * s},
		{name: "500 JSON for ever", op: &cibatest.Provider{Token: always(cibatest.OAuthError(500, "invalid_grant"))}, classes: down, took: 118 * s},
		{name: "503 beyond the expiry", op: &cibatest.Provider{Token: always(cibatest.Busy(503, 10*time.Minute))}, classes: down, took: 5 * s},
		{name: "truncated JSON", op: &cibatest.Provider{Token: sequence(nil, cibatest.TruncatedJSON())}, classes: violation, took: 10 * s, redeemed: 1},
		{name: "pending truncated", op: &cibatest.Provider{Token: sequence(cibatest.TruncatedJSON())}, classes: violation, took: 5 * s},
		{name: "HTML 200", op: &cibatest.Provider{Token: sequence(cibatest.HTML(200))}, classes: violation, took: 5 * s},
		{name: "HTML 404", op: &cibatest.Provider{Token: sequence(cibatest.HTML(404))}, classes: violation, took: 5 * s, says: "404"},
		{name: "redirect", op: &cibatest.Provider{Token: sequence(cibatest.Redirect(302, "https://op.test/login"))}, classes: violation, took: 5 * s},
		{name: "302 with an error in it", op: &cibatest.Provider{Token: sequence(cibatest.JSON(302, `{"error":"authorization_pending"}`))}, classes: violation, took: 5 * s, says: "302"},
		{name: "204 with an error in it", op: &cibatest.Provider{Token: sequence(cibatest.JSON(204, `{"error":"slow_down"}`))}, classes: violation, took: 5 * s, says: "204"},
		{name: "redirect 308 to itself", op: &cibatest.Provider{Token: always(cibatest.Redirect(308, "https://op.test/token"))}, classes: violation, took: 5 * s},
		{name: "huge", op: &cibatest.Provider{Token: sequence(nil, cibatest.Huge(65<<10))}, classes: violation, took: 10 * s, redeemed: 1},
		{name: "wrong media type", op: &cibatest.Provider{Token: sequence(nil, cibatest.MediaType("application/jwt"))}, classes: violation, took: 10 * s, redeemed: 1},
		{name: "tokens with status 201", op: &cibatest.Provider{Token: sequence(nil, cibatest.Status(201))}, classes: violation, took: 10 * s, redeemed: 1},
		{name: "error with status 200", op: &cibatest.Provider{Token: sequence(cibatest.Status(200))}, classes: violation, took: 5 * s, says: "access_token"},
		{name: "error without code", op: &cibatest.Provider{Token: sequence(cibatest.JSON(400, `{"message":"no"}`))}, classes: violation, took: 5 * s, says: `"error" is missing`},
		{name: "error code null", op: &cibatest.Provider{Token: sequence(cibatest.JSON(400, `{"error":null}`))}, classes: violation, took: 5 * s},
		{name: "error code a number", op: &cibatest.Provider{Token: sequence(cibatest.JSON(400, `{"error":7}`))}, classes: violation, took: 5 * s},
		{name: "error code twice", op: &cibatest.Provider{Token: sequence(cibatest.JSON(400, `{"error":"authorization_pending","error":"access_denied"}`))}, classes: violation, took: 5 * s},
		{name: "error code with control characters", op: &cibatest.Provider{Token: sequence(cibatest.JSON(400, `{"error":"a\u001b[31mb"}`))}, classes: violation, took: 5 * s},
		{name: "answer lost while pending", op: &cibatest.Provider{Token: sequence(cibatest.Lose())}, took: 10 * s, redeemed: 1},
		{name: "answer with tokens lost", op: &cibatest.Provider{Token: sequence(nil, cibatest.Lose())}, classes: classes(ciba.ErrInterrupted, ciba.ErrInvalidGrant), took: 15 * s, redeemed: 1},
		{name: "answer with tokens breaks off", op: &cibatest.Provider{Token: sequence(nil, cibatest.BreakOff())}, classes: classes(ciba.ErrInterrupted), took: 10 * s, redeemed: 1},
		{name: "pending breaks off", op: &cibatest.Provider{Token: sequence(cibatest.BreakOff())}, took: 10 * s, redeemed: 1},
		{name: "hangs once", op: &cibatest.Provider{Token: sequence(cibatest.Hang())}, took: 45 * s, redeemed: 1},
		{name: "access_denied with 403", op: &cibatest.Provider{Token: always(cibatest.OAuthError(403, "access_denied"))}, classes: classes(ciba.ErrDenied), took: 5 * s},
		{name: "expired_token", op: &cibatest.Provider{Token: always(cibatest.OAuthError(400, "expired_token"))}, classes: classes(ciba.ErrExpired), took: 5 * s},
		{name: "invalid_grant", op: &cibatest.Provider{Token: always(cibatest.OAuthError(400, "invalid_grant"))}, classes: classes(ciba.ErrInvalidGrant), took: 5 * s},
		{name: "invalid_request", op: &cibatest.Provider{Token: always(cibatest.OAuthError(400, "invalid_request"))}, classes: classes(ciba.ErrInvalidRequest), took: 5 * s},
		{name: "unauthorized_client", op: &cibatest.Provider{Token: always(cibatest.OAuthError(403, "unauthorized_client"))}, classes: classes(ciba.ErrInvalidClient), took: 5 * s},
		{name: "invalid_client", op: &cibatest.Provider{Token: always(cibatest.OAuthError(401, "invalid_client"))}, classes: classes(ciba.ErrInvalidClient), took: 5 * s},
		{name: "unsupported_grant_type", op: &cibatest.Provider{Token: always(cibatest.OAuthError(400, "unsupported_grant_type"))}, classes: classes(ciba.ErrInvalidClient), took: 5 * s},
		{name: "transaction_failed", op: &cibatest.Provider{Token: always(cibatest.OAuthError(400, "transaction_failed"))}, classes: classes(ciba.ErrTransactionFailed), took: 5 * s},
		{name: "invalid_dpop_proof", op: &cibatest.Provider{Token: always(cibatest.OAuthError(400, "invalid_dpop_proof"))}, classes: classes(ciba.ErrInvalidRequest), took: 5 * s},
	}
}

func hostileTokens() []hostile {
	edit := func(name, member string, value any, says string) hostile {
		return hostile{name: name, op: &cibatest.Provider{RefreshTokens: true, EditTokens: edits(member, value)}, classes: violation, took: 10 * time.Second, says: says, redeemed: 1}
	}
	return []hostile{
		edit("access_token missing", "access_token", nil, `"access_token" is missing`),
		edit("access_token empty", "access_token", "", `"access_token" is missing`),
		edit("access_token a number", "access_token", 1, "not a string"),
		edit("access_token with a line break", "access_token", "a\r\nX-Evil: 1", "visible ASCII"),
		edit("access_token too long", "access_token", strings.Repeat("x", 33<<10), "at most 32768"),
		edit("token_type missing", "token_type", nil, "token_type"),
		edit("token_type MAC", "token_type", "MAC", `"MAC", want "Bearer"`),
		edit("token_type DPoP without a proof", "token_type", "DPoP", `"DPoP", want "Bearer"`),
		edit("expires_in of the token negative", "expires_in", -1, "expires_in"),
		edit("expires_in of the token zero", "expires_in", 0, "expires_in"),
		edit("expires_in of the token huge", "expires_in", 1e12, "expires_in"),
		edit("refresh_token a list", "refresh_token", []string{"a"}, "not a string"),
		edit("scope a list", "scope", []string{"openid"}, "not a string"),
		edit("scope with a quote", "scope", `openid "x"`, "scope"),
		edit("authorization_details an object", "authorization_details", map[string]any{}, "not a JSON array"),
		edit("authorization_details of strings", "authorization_details", []string{"a"}, "detail 0 is not one JSON object"),
		edit("authorization_details without type", "authorization_details", []any{map[string]any{"type": "a"}, map[string]any{"Type": "b"}}, "detail 1 has no type"),
		edit("authorization_details too many", "authorization_details", make([]map[string]any, 33), "at most 32"),
		edit("authorization_details too long", "authorization_details", []any{map[string]any{"type": "a", "x": strings.Repeat("x", 17<<10)}}, "at most 16384"),
	}
}

func TestHostileProvider(t *testing.T) {
	for _, list := range [][]hostile{
		hostileDiscovery(), hostileAck(), hostileAckCodes(), hostilePolls(), hostileTokens(), hostileIDTokens(),
	} {
		for _, h := range list {
			t.Run(h.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { h.play(t) })
			})
		}
	}
}

func (h *hostile) play(t *testing.T) {
	if h.op.AutoApprove == 0 {
		h.op.AutoApprove = 7 * time.Second
	}
	client := newClient(t, h.op)
	start := time.Now()
	tokens, err := signIn(t, client, start)
	if got := time.Since(start); got != h.took {
		t.Errorf("ended after %v, want %v", got, h.took)
	}
	if h.classes == nil && err != nil {
		t.Errorf("refused: %v", err)
	}
	if h.classes != nil {
		wantClasses(t, err, h.classes...)
		if tokens != nil {
			t.Error("tokens were returned beside an error")
		}
		if err != nil && !strings.Contains(err.Error(), h.says) {
			t.Errorf("error %q does not say %q", err, h.says)
		}
	}
	s := h.op.Stats()
	if s.Early+s.Overlapping != 0 {
		t.Errorf("polls broke the rules: %+v", s)
	}
	if s.Redeemed != h.redeemed || s.Rang > 1 || s.Backchannel > 1 {
		t.Errorf("provider saw %+v, want %d redeemed and one phone at most to ring", s, h.redeemed)
	}
}

func signIn(t *testing.T, client *ciba.Client, start time.Time) (*ciba.Tokens, error) {
	ack, err := client.RequestAuthentication(t.Context(), anna())
	if err != nil {
		return nil, err
	}
	return client.Wait(t.Context(), ack, ciba.Expect{Subject: "anna@example.com", RequestedAt: start})
}

// TestErrorDetails: what a caller passes on to people and schedulers.
func TestErrorDetails(t *testing.T) {
	op := &cibatest.Provider{Backchannel: func(int) cibatest.Fault {
		return cibatest.Answer(400, "application/json", `{"error":"slow_down","error_description":"wait\u0000\u202e a\nbit`+strings.Repeat("é", 300)+`","interval":40}`)
	}}
	_, err := newClient(t, op).RequestAuthentication(t.Context(), anna())
	var e *ciba.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *ciba.Error", err)
	}
	if e.Endpoint != "backchannel authentication" || e.Code != ciba.CodeSlowDown || e.Status != 400 || e.Interval != 40*time.Second {
		t.Errorf("details are %+v", *e)
	}
	if !strings.HasPrefix(e.Description, "wait?? a?bit") || len(e.Description) > 256 || strings.HasSuffix(e.Description, "\xc3") {
		t.Errorf("description is not cleaned: %q", e.Description)
	}
}

// TestRetryAfter: seconds, a date, and what is neither.
func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"90":                            90 * time.Second,
		"-5":                            0,
		"soon":                          0,
		"1e3":                           0,
		"99999999999999999999":          0,
		"999999999":                     24 * time.Hour,
		"Sat, 01 Jan 2000 00:01:30 GMT": 90 * time.Second,
		"Fri, 31 Dec 1999 23:59:00 GMT": 0,
		"Fri, 31 Dec 9999 23:59:00 GMT": 24 * time.Hour,
	} {
		t.Run(header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := &cibatest.Provider{Backchannel: func(int) cibatest.Fault {
					return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
						w.Header().Set("Retry-After", header)
						cibatest.HTML(503)(w, r, nil)
					}
				}}
				_, err := newClient(t, op).RequestAuthentication(t.Context(), anna())
				var e *ciba.Error
				if !errors.As(err, &e) || e.RetryAfter != want {
					t.Errorf("error %v says %v, want %v", err, e.RetryAfter, want)
				}
			})
		})
	}
}
