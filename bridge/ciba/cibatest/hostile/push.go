package hostile

import (
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// pushes are the misbehaviours of a provider that brings the tokens.
func pushes() []Group {
	return []Group{
		{"push tokens twice, or too early and then again", Redeemed, granted, []Row{
			{Name: "push as it should be", Provider: pushing(untouched), Replies: []int{204}},
			{Name: "push twice", Provider: pushing(twice), Replies: []int{204, 204}},
			{Name: "push before the acknowledgement, and again", Provider: pushingEarly(time.Second), After: time.Second, Replies: []int{503, 204}},
		}},
		{"push nothing, or tokens that prove nothing", Redeemed, expired, []Row{
			unheard("push lost", pushing(func(cibatest.Notification) sent { return nil })),
			unheard("push without a token", pushing(withHeader("Authorization", "")), 401),
			unheard("push with a guessed token", pushing(withHeader("Authorization", "Bearer "+strings.Repeat("x", 43))), 401),
			unheard("push for an unknown request", pushing(with("auth_req_id", "unknown")), 401),
			unheard("push without auth_req_id", pushing(with("auth_req_id", nil)), 400),
			unheard("push as a form", pushing(withHeader("Content-Type", "application/x-www-form-urlencoded")), 415),
			unheard("push that is huge", pushing(with("x", strings.Repeat("x", 64<<10))), 413),
		}},
		{"mix up the pushes of two people", Redeemed, expired, []Row{
			late(mixed("push with another's token", "push", func(n, other cibatest.Notification) cibatest.Notification {
				return n.WithHeader("Authorization", other.Header.Get("Authorization"))
			})),
			late(mixed("push with another's auth_req_id", "push", func(n, other cibatest.Notification) cibatest.Notification {
				return n.With("auth_req_id", other.Request.AuthReqID)
			})),
		}},
		{"push tokens with values that it must not send", Redeemed, violation, []Row{
			pushed("push without access token", pushing(with("access_token", nil)), `"access_token" is missing`),
			pushed("push with token_type DPoP", pushing(with("token_type", "DPoP")), `"DPoP", want "Bearer"`),
			pushed("push with a number for ID token", pushing(with("id_token", 7)), "not a string"),
			pushed("push of an unknown error", pushing(with("error", "slow_down")), "slow_down"),
			pushed("push of a parrot's error", pushing(func(n cibatest.Notification) sent {
				return sent{n.With("error", n.Request.AuthReqID)}
			}), "unknown code"),
			pushed("push of an empty error", pushing(with("error", "")), `"error" is missing`),
		}},
		{"push an ID token that is missing, forged, or not bound to all that comes with it", Redeemed, forged, []Row{
			pushed("push without ID token", pushing(with("id_token", nil)), "id_token"),
			pushed("push with another access token", pushing(with("access_token", "other")), "at_hash"),
			pushed("push with another refresh token", pushing(with("refresh_token", "other")), "rt_hash"),
			pushed("push without at_hash", forging(claim("at_hash", nil)), "at_hash"),
			pushed("push with an empty at_hash", forging(claim("at_hash", "")), "at_hash"),
			pushed("push with an at_hash of another length", forging(func(d *cibatest.Draft) {
				longer := *d
				longer.Algorithm = "ES512"
				d.Claims["at_hash"] = longer.Hash(d.AccessToken)
			}), "at_hash"),
			pushed("push without rt_hash", forging(claim(string(ciba.CheckRtHash), nil)), "rt_hash"),
			pushed("push with the wrong rt_hash", forging(func(d *cibatest.Draft) { d.Claims[string(ciba.CheckRtHash)] = d.Hash(d.AccessToken) }), "rt_hash"),
			pushed("push without auth_req_id in the ID token", forging(claim(string(ciba.CheckAuthReqID), nil)), "auth_req_id"),
			pushed("push with another auth_req_id in the ID token", forging(claim(string(ciba.CheckAuthReqID), "other")), "auth_req_id"),
			pushed("push for another client", forging(claim("aud", "other")), "aud"),
			pushed("push of another issuer", forging(claim("iss", "https://evil.test")), "iss"),
			pushed("push of an expired ID token", forging(claim("exp", 1)), "exp"),
			pushed("push of an old ID token", forging(after("iat", -time.Hour)), "iat"),
			pushed("push of an unsigned ID token", forging(func(d *cibatest.Draft) { d.Algorithm = "none" }), "alg"),
			pushed("push signed with a key of its own", forging(ownKey), "signature"),
		}},
		{"push the tokens of another person", Redeemed, wrongPerson, []Row{
			pushed("push for another person", forging(claim("sub", "bela@example.com")), "sub"),
		}},
		{"push an error", Redeemed, denied, []Row{pushed("push of a denial", pushing(with("error", "access_denied")), "access_denied")}},
		{"push an error that nobody is to blame for", Redeemed, failed, []Row{pushed("push of a failure", pushing(with("error", "transaction_failed")), "transaction_failed")}},
		{"push that it has expired", Redeemed, expired, []Row{pushed("push of an expiry", pushing(with("error", "expired_token")), "expired_token")}},
	}
}

func pushing(e edit) *cibatest.Provider {
	return &cibatest.Provider{Delivery: "push", RefreshTokens: true, EditNotification: e}
}

func forging(e func(*cibatest.Draft)) *cibatest.Provider {
	return &cibatest.Provider{Delivery: "push", RefreshTokens: true, EditIDToken: e}
}

// pushed is a row with a push that is taken, as it would be no better another
// time.
func pushed(name string, op *cibatest.Provider, says string) Row {
	return Row{Name: name, Provider: op, Says: says, Replies: []int{204}}
}

// unheard is a row with a push of which the client takes no notice.
func unheard(name string, op *cibatest.Provider, replies ...int) Row {
	return late(Row{Name: name, Provider: op, Replies: replies})
}

// late is a row that ends when the time is up.
func late(r Row) Row {
	r.After = 2 * time.Minute
	return r
}

// pushingEarly is a provider that pushes at once, and what was not taken again.
func pushingEarly(after time.Duration) *cibatest.Provider {
	op := deciding("push", 0)
	op.EditNotification = func(n cibatest.Notification) sent {
		time.AfterFunc(after, func() { op.Send(n) })
		return sent{n}
	}
	return op
}
