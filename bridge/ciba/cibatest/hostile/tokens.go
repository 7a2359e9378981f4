package hostile

import (
	"strings"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// tokens are the misbehaviours in token responses, but for their ID tokens.
func tokens() []Group {
	return []Group{
		{"hand out tokens with values that it must not send", Redeemed, violation, []Row{
			handing("access_token missing", "access_token", nil, `"access_token" is missing`),
			handing("access_token empty", "access_token", "", `"access_token" is missing`),
			handing("access_token a number", "access_token", 1, "not a string"),
			handing("access_token with a line break", "access_token", "a\r\nX-Evil: 1", "visible ASCII"),
			handing("access_token too long", "access_token", strings.Repeat("x", 33<<10), "at most 32768"),
			handing("token_type missing", "token_type", nil, "token_type"),
			handing("token_type MAC", "token_type", "MAC", `"MAC", want "Bearer"`),
			handing("token_type DPoP without a proof", "token_type", "DPoP", `"DPoP", want "Bearer"`),
			handing("expires_in of the token negative", "expires_in", -1, "expires_in"),
			handing("expires_in of the token zero", "expires_in", 0, "expires_in"),
			handing("expires_in of the token huge", "expires_in", 1e12, "expires_in"),
			handing("refresh_token a list", "refresh_token", []string{"a"}, "not a string"),
			handing("scope a list", "scope", []string{"openid"}, "not a string"),
			handing("scope with a quote", "scope", `openid "x"`, "scope"),
			handing("authorization_details an object", "authorization_details", map[string]any{}, "not a JSON array"),
			handing("authorization_details of strings", "authorization_details", []string{"a"}, "detail 0 is not one JSON object"),
			handing("authorization_details without type", "authorization_details", []any{map[string]any{"type": "a"}, map[string]any{"Type": "b"}}, "detail 1 has no type"),
			handing("authorization_details too many", "authorization_details", make([]map[string]any, 33), "at most 32"),
			handing("authorization_details too long", "authorization_details", []any{map[string]any{"type": "a", "x": strings.Repeat("x", 17<<10)}}, "at most 16384"),
			handing("id_token a number", "id_token", 1, ""),
			handing("id_token too large", "id_token", strings.Repeat("x", 33<<10), ""),
		}},
		{"hand out a token that does not fit into a message to the device", Redeemed, unfit, []Row{
			{Name: "access_token beyond a message", Provider: &cibatest.Provider{EditTokens: set("access_token", strings.Repeat("x", 13000)), EditIDToken: claim("at_hash", nil)}},
		}},
		{"grant none of the scopes that were asked for", Redeemed, otherScope, []Row{handing("scope of others", "scope", "openid mirror", "")}},
	}
}

func handing(name, member string, value any, says string) Row {
	return Row{Name: name, Provider: &cibatest.Provider{RefreshTokens: true, EditTokens: set(member, value)}, Says: says}
}
