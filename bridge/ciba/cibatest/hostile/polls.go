package hostile

import (
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// polls are the misbehaviours of the token endpoint before it hands out tokens,
// and in how it does.
func polls() []Group {
	const s = time.Second
	return []Group{
		{"slow the polls down, hold them, or fail some of them", Redeemed, granted, []Row{
			{Name: "slow_down once", Provider: polling(cibatest.SlowDown(0, 0)), After: 15 * s},
			{Name: "slow_down twice", Provider: polling(cibatest.SlowDown(0, 0), cibatest.SlowDown(0, 0)), After: 30 * s},
			{Name: "slow_down with Retry-After", Provider: polling(cibatest.SlowDown(40*s, 0)), After: 45 * s},
			{Name: "slow_down with interval", Provider: polling(cibatest.SlowDown(0, 30*s)), After: 35 * s},
			{Name: "slow_down that means it", Provider: &cibatest.Provider{SlowDown: true}},
			{Name: "long poll", Provider: &cibatest.Provider{LongPoll: 30 * s}, After: 7 * s},
			{Name: "long poll answers pending after 30 s", Provider: polling(cibatest.Delay(30 * s)), After: 35 * s},
			{Name: "503 with Retry-After, then tokens", Provider: polling(cibatest.Busy(503, 20*s)), After: 25 * s},
			{Name: "429 three times, then tokens", Provider: polling(cibatest.Busy(429, 0), cibatest.Busy(429, 0), cibatest.Busy(429, 0)), After: 40 * s},
			{Name: "504 once, then tokens", Provider: polling(cibatest.Busy(504, 0))},
			{Name: "answer lost while pending", Provider: polling(cibatest.Lose())},
			{Name: "pending breaks off", Provider: polling(cibatest.BreakOff())},
			{Name: "hangs once", Provider: polling(cibatest.Hang()), After: 45 * s},
		}},
		{"make tokens again for a client that has not got them", Redeemed, granted, []Row{
			{Name: "tokens lost and repeated", Provider: &cibatest.Provider{RepeatTokens: true, Token: cibatest.Sequence(nil, cibatest.Lose())}, After: 15 * s, Redeemed: 2, AfterEnd: 1},
		}},
		{"slow the polls down until the request has expired", Waiting, expired, []Row{
			{Name: "slow_down for ever", Provider: failing(cibatest.SlowDown(0, 0)), After: 118 * s},
			{Name: "expired_token", Provider: failing(cibatest.OAuthError(400, "expired_token"))},
			{Name: "nobody approves", Provider: &cibatest.Provider{AutoApprove: time.Hour}, After: 118 * s},
		}},
		{"fail all polls", Waiting, down, []Row{
			{Name: "503 for ever", Provider: failing(cibatest.Busy(503, 0)), After: 118 * s},
			{Name: "500 JSON for ever", Provider: failing(cibatest.OAuthError(500, "invalid_grant")), After: 118 * s},
			{Name: "503 beyond the expiry", Provider: failing(cibatest.Busy(503, 10*time.Minute))},
		}},
		{"never answer a poll", Waiting, silent, []Row{
			{Name: "hangs for ever", Provider: failing(cibatest.Hang()), After: 122 * s},
		}},
		{"lose its answer with the tokens", Redeemed, spent, []Row{
			{Name: "answer with tokens lost", Provider: polling(nil, cibatest.Lose()), After: 15 * s, AfterEnd: 1},
			{Name: "answer with tokens lost, connection reset", Provider: &cibatest.Provider{Token: cibatest.Sequence(nil, cibatest.Lose()), Wires: cibatest.EachWire(0, nil)}, After: 15 * s, AfterEnd: 1},
		}},
		{"break off its answer with the tokens", Redeemed, brokenOff, []Row{
			{Name: "answer with tokens breaks off", Provider: polling(nil, cibatest.BreakOff())},
			{Name: "answer with tokens breaks off, connection reset", Provider: &cibatest.Provider{Token: cibatest.Sequence(nil, cibatest.BreakOff()), Wires: cibatest.EachWire(0, nil)}},
		}},
		{"forget what it has acknowledged", Waiting, forgotten, []Row{{Name: "invalid_grant", Provider: failing(cibatest.OAuthError(400, "invalid_grant"))}}},
		{"deny", Waiting, denied, []Row{
			{Name: "access_denied with 403", Provider: failing(cibatest.OAuthError(403, "access_denied"))},
		}},
		{"not see the authentication through", Waiting, failed, []Row{
			{Name: "transaction_failed", Provider: failing(cibatest.OAuthError(400, "transaction_failed"))},
		}},
		{"not accept the client any more", Waiting, noClient, []Row{
			{Name: "unauthorized_client", Provider: failing(cibatest.OAuthError(403, "unauthorized_client"))},
			{Name: "invalid_client", Provider: failing(cibatest.OAuthError(401, "invalid_client"))},
			{Name: "unsupported_grant_type", Provider: failing(cibatest.OAuthError(400, "unsupported_grant_type"))},
		}},
		{"refuse polls for their form", Waiting, refused, []Row{
			{Name: "invalid_request", Provider: failing(cibatest.OAuthError(400, "invalid_request"))},
			{Name: "invalid_dpop_proof", Provider: failing(cibatest.OAuthError(400, "invalid_dpop_proof"))},
		}},
		{"answer polls with something else than JSON", Waiting, violation, []Row{
			{Name: "pending truncated", Provider: polling(cibatest.TruncatedJSON())},
			{Name: "HTML 200", Provider: polling(cibatest.HTML(200))},
			{Name: "HTML 404", Provider: polling(cibatest.HTML(404)), Says: "404"},
			{Name: "redirect", Provider: polling(cibatest.Redirect(302, "https://op.test/login"))},
			{Name: "redirect 308 to itself", Provider: failing(cibatest.Redirect(308, "https://op.test/token"))},
			{Name: "302 with an error in it", Provider: polling(cibatest.JSON(302, `{"error":"authorization_pending"}`)), Says: "302"},
			{Name: "204 with an error in it", Provider: polling(cibatest.JSON(204, `{"error":"slow_down"}`)), Says: "204"},
			{Name: "error with status 200", Provider: polling(cibatest.Status(200)), Says: "access_token"},
			{Name: "error without code", Provider: polling(cibatest.JSON(400, `{"message":"no"}`)), Says: `"error" is missing`},
			{Name: "error code null", Provider: polling(cibatest.JSON(400, `{"error":null}`))},
			{Name: "error code a number", Provider: polling(cibatest.JSON(400, `{"error":7}`))},
			{Name: "error code twice", Provider: polling(cibatest.JSON(400, `{"error":"authorization_pending","error":"access_denied"}`))},
			{Name: "error code with control characters", Provider: polling(cibatest.JSON(400, `{"error":"a\u001b[31mb"}`))},
		}},
		{"hand out tokens in something else than JSON", Redeemed, violation, []Row{
			{Name: "truncated JSON", Provider: polling(nil, cibatest.TruncatedJSON())},
			{Name: "huge", Provider: polling(nil, cibatest.Huge(65<<10))},
			{Name: "compressed", Provider: polling(nil, cibatest.Gzip(32<<20))},
			{Name: "wrong media type", Provider: polling(nil, cibatest.MediaType("application/jwt"))},
			{Name: "tokens with status 201", Provider: polling(nil, cibatest.Status(201))},
		}},
	}
}

// polling answers the first polls with faults.
func polling(faults ...cibatest.Fault) *cibatest.Provider {
	return &cibatest.Provider{Token: cibatest.Sequence(faults...)}
}

// failing answers all polls with a fault.
func failing(f cibatest.Fault) *cibatest.Provider {
	return &cibatest.Provider{Token: cibatest.Always(f)}
}
