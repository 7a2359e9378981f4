package hostile

import (
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// parrots are providers that repeat what they were told, or have told, wherever
// they may write, so that it could end in somebody's log.
func parrots() []Group {
	code := func(status int) func(string) cibatest.Fault {
		return func(s string) cibatest.Fault { return cibatest.OAuthError(status, s) }
	}
	page := func(s string) cibatest.Fault { return cibatest.Answer(200, "text/"+s, s) }
	describe := func(s string) cibatest.Fault {
		return cibatest.JSON(400, `{"error":"invalid_request","error_description":"nobody is called `+s+`"}`)
	}
	elsewhere := func(s string) cibatest.Fault { return cibatest.Redirect(303, "/"+s) }
	return []Group{
		{"repeat the hint or the binding message in its refusal", Asked, refused, []Row{
			{Name: "ack describes the hint", Provider: answering(cibatest.Parrot("login_hint", describe))},
			{Name: "ack describes the binding message", Provider: answering(cibatest.Parrot("binding_message", describe))},
			{Name: "ack code is the hint", Provider: answering(cibatest.Parrot("login_hint", code(400)))},
		}},
		{"repeat the hint where JSON belongs", Asked, violation, []Row{
			{Name: "ack media type is the hint", Provider: answering(cibatest.Parrot("login_hint", page))},
			{Name: "ack redirects to the hint", Provider: answering(cibatest.Parrot("login_hint", elsewhere))},
		}},
		{"repeat the auth_req_id in its refusal", Waiting, refused, []Row{
			{Name: "poll describes the auth_req_id", Provider: failing(cibatest.Parrot("auth_req_id", describe))},
			{Name: "poll code is the auth_req_id", Provider: failing(cibatest.Parrot("auth_req_id", code(400)))},
		}},
		{"repeat the auth_req_id where JSON belongs", Waiting, violation, []Row{
			{Name: "poll media type is the auth_req_id", Provider: failing(cibatest.Parrot("auth_req_id", page))},
			{Name: "poll redirects to the auth_req_id", Provider: failing(cibatest.Parrot("auth_req_id", elsewhere))},
		}},
		{"repeat the access token in another member", Redeemed, violation, []Row{
			{Name: "token_type is the access token", Provider: &cibatest.Provider{EditTokens: same("token_type")}},
			{Name: "scope is the access token in quotes", Provider: &cibatest.Provider{EditTokens: func(m map[string]any) { m["scope"] = `"` + m["access_token"].(string) + `"` }}},
		}},
		{"repeat the access token in the ID token", Redeemed, forged, []Row{
			{Name: "ID token: typ is the access token", Provider: inHeader("typ")},
			{Name: "ID token: kid is the access token", Provider: &cibatest.Provider{EditIDToken: func(d *cibatest.Draft) { d.KeyID = d.AccessToken }}},
			{Name: "ID token: iss is the access token", Provider: inClaim("iss")},
			{Name: "ID token: acr is the access token", Provider: inClaim("acr")},
			{Name: "ID token: aud is the access token", Provider: inClaim("aud")},
			{Name: "ID token: azp is the access token", Provider: inClaim("azp")},
			{Name: "ID token: exp is the access token", Provider: inClaim("exp")},
		}},
	}
}

func same(member string) func(map[string]any) {
	return func(m map[string]any) { m[member] = m["access_token"] }
}

func inHeader(name string) *cibatest.Provider {
	return &cibatest.Provider{EditIDToken: func(d *cibatest.Draft) { d.Header[name] = d.AccessToken }}
}

func inClaim(name string) *cibatest.Provider {
	return &cibatest.Provider{EditIDToken: func(d *cibatest.Draft) { d.Claims[name] = d.AccessToken }}
}
