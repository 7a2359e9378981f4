package hostile

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// acknowledgements are the misbehaviours in answers to an authentication
// request.
func acknowledgements() []Group {
	return []Group{
		{"be too busy to ring", Asked, down, []Row{
			{Name: "ack 503", Provider: answering(cibatest.Busy(503, time.Minute)), Says: "503"},
			{Name: "ack 500 JSON", Provider: answering(cibatest.OAuthError(500, "server_error"))},
			{Name: "ack 429", Provider: answering(cibatest.Busy(429, time.Minute))},
			{Name: "ack 429 JSON", Provider: answering(cibatest.OAuthError(429, "access_denied"))},
			{Name: "ack temporarily_unavailable 400", Provider: answering(cibatest.OAuthError(400, "temporarily_unavailable"))},
		}},
		{"lose its answer to the request to ring", Asked, lost, []Row{
			{Name: "ack 502", Provider: answering(cibatest.Busy(502, 0))},
			{Name: "ack 504", Provider: answering(cibatest.Busy(504, 0))},
			{Name: "ack lost", Provider: answering(cibatest.Lose())},
			{Name: "ack hangs", Provider: answering(cibatest.Hang()), After: 30 * time.Second},
			{Name: "ack lost, connection reset", Provider: &cibatest.Provider{Backchannel: cibatest.Always(cibatest.Lose()), Wires: cibatest.EachWire(0, nil)}},
		}},
		{"break off its answer to the request to ring", Asked, brokenOff, []Row{
			{Name: "ack breaks off", Provider: answering(cibatest.BreakOff())},
			{Name: "ack breaks off, connection reset", Provider: &cibatest.Provider{Backchannel: cibatest.Always(cibatest.BreakOff()), Wires: cibatest.EachWire(0, nil)}},
		}},
		{"answer the request to ring with something else than JSON", Asked, violation, []Row{
			{Name: "ack HTML", Provider: answering(cibatest.HTML(200))},
			{Name: "ack HTML 403", Provider: answering(cibatest.HTML(403))},
			{Name: "ack redirect 307", Provider: answering(cibatest.Redirect(307, "https://op.test/token")), Says: "307"},
			{Name: "ack redirect elsewhere", Provider: answering(cibatest.Redirect(302, "https://evil.test/")), Says: "302"},
			{Name: "ack 201", Provider: answering(cibatest.Status(201))},
			{Name: "ack truncated", Provider: answering(cibatest.TruncatedJSON())},
			{Name: "ack huge", Provider: answering(cibatest.Huge(65 << 10)), Says: "more than 65536 bytes"},
			{Name: "ack compressed", Provider: answering(cibatest.Gzip(32 << 20))},
			{Name: "ack wrong media type", Provider: answering(cibatest.MediaType("text/plain"))},
			{Name: "ack no media type", Provider: answering(cibatest.MediaType("")), Says: "content type missing"},
			{Name: "ack brackets without end", Provider: answering(cibatest.JSON(200, strings.Repeat("[", 60<<10)))},
			{Name: "invalid UTF-8", Provider: answering(cibatest.JSON(200, "{\"auth_req_id\":\"x\xff\",\"expires_in\":60}")), Says: "UTF-8"},
		}},
		{"acknowledge the request with values that it must not send", Asked, violation, []Row{
			{Name: "auth_req_id missing", Provider: acknowledging("auth_req_id", nil), Says: "auth_req_id"},
			{Name: "auth_req_id empty", Provider: acknowledging("auth_req_id", "")},
			{Name: "auth_req_id a number", Provider: acknowledging("auth_req_id", 12)},
			{Name: "auth_req_id with a line break", Provider: acknowledging("auth_req_id", "a\nb")},
			{Name: "auth_req_id too long", Provider: acknowledging("auth_req_id", strings.Repeat("x", 8193)), Says: "at most 8192"},
			{Name: "expires_in missing", Provider: acknowledging("expires_in", nil), Says: `"expires_in" is missing`},
			{Name: "expires_in negative", Provider: acknowledging("expires_in", -7), Says: "whole number from 1 to 604800"},
			{Name: "expires_in zero", Provider: acknowledging("expires_in", 0)},
			{Name: "expires_in huge", Provider: acknowledging("expires_in", 1e9)},
			{Name: "expires_in a string", Provider: acknowledging("expires_in", "120")},
			{Name: "expires_in a fraction", Provider: acknowledging("expires_in", 120.5)},
			{Name: "expires_in overflows", Provider: answering(cibatest.JSON(200, `{"auth_req_id":"x","expires_in":99999999999999999999}`))},
			{Name: "expires_in twice", Provider: answering(cibatest.JSON(200, `{"auth_req_id":"x","expires_in":60,"expires_in":600}`))},
			{Name: "expires_in in another case", Provider: answering(cibatest.JSON(200, `{"auth_req_id":"x","Expires_In":60}`)), Says: `"expires_in" is missing`},
			{Name: "interval negative", Provider: acknowledging("interval", -5), Says: "whole number from 0 to 3600"},
			{Name: "interval huge", Provider: acknowledging("interval", 86400)},
		}},
		{"acknowledge the request, and permit no poll before it expires", Waiting, unasked, []Row{
			{Name: "interval beyond the expiry", Provider: &cibatest.Provider{Interval: time.Hour}, After: atOnce},
		}},
		{"acknowledge the request in an unusual way", Redeemed, granted, []Row{
			{Name: "ack just not huge", Provider: answering(cibatest.Huge(64 << 10))},
			{Name: "ack with charset", Provider: answering(cibatest.MediaType("application/json; charset=UTF-8"))},
			{Name: "ack deep", Provider: acknowledging("x", json.RawMessage(strings.Repeat("[", 9000)+strings.Repeat("]", 9000)))},
			{Name: "interval missing is 5 s", Provider: acknowledging("interval", nil)},
			{Name: "interval zero is 5 s", Provider: acknowledging("interval", 0)},
			{Name: "interval long is kept", Provider: &cibatest.Provider{Interval: 25 * time.Second}, After: 25 * time.Second},
		}},
	}
}

// refusals are error codes that answer an authentication request.
func refusals() []Group {
	return []Group{
		{"know nobody by the hint", Asked, unknown, []Row{
			code(400, "unknown_user_id"), code(400, "expired_login_hint_token"), code(400, "expired_id_token_hint"), code(400, "invalid_id_token_hint"),
			{Name: "unknown person", Provider: &cibatest.Provider{Subject: func(string) (string, bool) { return "", false }}, Says: "unknown_user_id"},
		}},
		{"deny at once", Asked, denied, []Row{code(403, "access_denied")}},
		{"not allow the scope", Asked, wrongScope, []Row{code(400, "invalid_scope")}},
		{"not accept the client", Asked, noClient, []Row{code(401, "invalid_client"), code(400, "unauthorized_client"), code(401, "unheard_of")}},
		{"refuse the request to ring for its form", Asked, refused, []Row{
			code(400, "invalid_request"), code(400, "invalid_target"), code(400, "invalid_authorization_details"), code(400, "unheard_of"),
		}},
		{"not show the binding message", Asked, noMessage, []Row{code(400, "invalid_binding_message")}},
		{"demand a user code", Asked, noUserCode, []Row{code(400, "missing_user_code"), code(400, "invalid_user_code")}},
	}
}

func answering(f cibatest.Fault) *cibatest.Provider {
	return &cibatest.Provider{Backchannel: cibatest.Always(f)}
}

func acknowledging(member string, value any) *cibatest.Provider {
	return &cibatest.Provider{EditAck: set(member, value)}
}

func code(status int, code string) Row {
	return Row{Name: fmt.Sprintf("ack %s %d", code, status), Provider: answering(cibatest.OAuthError(status, code)), Says: code}
}
