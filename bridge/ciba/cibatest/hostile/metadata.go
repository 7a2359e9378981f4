package hostile

import (
	"encoding/base64"
	"math/big"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// metadata are the misbehaviours of discovery and of the key set.
func metadata() []Group {
	return []Group{
		{"be down, or break off, when its metadata or keys are fetched", Unasked, down, []Row{
			{Name: "discovery 500", Provider: discovering(cibatest.Always(cibatest.Busy(500, 0)))},
			{Name: "discovery 503 once", Provider: discovering(cibatest.Sequence(cibatest.Busy(503, time.Second)))},
			{Name: "discovery breaks off", Provider: discovering(cibatest.Always(cibatest.BreakOff()))},
			{Name: "discovery is lost", Provider: discovering(cibatest.Always(cibatest.Lose()))},
			{Name: "discovery hangs", Provider: discovering(cibatest.Always(cibatest.Hang())), After: 10 * time.Second},
			{Name: "keys 500", Provider: keying(cibatest.Always(cibatest.Busy(500, 0)))},
			{Name: "keys 429", Provider: keying(cibatest.Always(cibatest.Busy(429, time.Minute)))},
			{Name: "keys hang", Provider: keying(cibatest.Always(cibatest.Hang())), After: 10 * time.Second},
		}},
		{"publish something else than its metadata", Unasked, violation, []Row{
			{Name: "discovery 404", Provider: discovering(cibatest.Always(cibatest.HTML(404))), Says: "404"},
			{Name: "discovery HTML", Provider: discovering(cibatest.Always(cibatest.HTML(200))), Says: `content type "text/html`},
			{Name: "discovery redirect", Provider: discovering(cibatest.Always(cibatest.Redirect(302, "/.well-known/other"))), Says: "status 302"},
			{Name: "discovery truncated", Provider: discovering(cibatest.Always(cibatest.TruncatedJSON()))},
			{Name: "discovery huge", Provider: discovering(cibatest.Always(cibatest.Huge(257 << 10))), Says: "more than 262144 bytes"},
			{Name: "discovery compressed", Provider: discovering(cibatest.Always(cibatest.Gzip(32 << 20)))},
			{Name: "discovery duplicate member", Provider: discovering(cibatest.Always(cibatest.JSON(200, `{"issuer":"https://op.test","issuer":"https://op.test"}`))), Says: "unique members"},
			{Name: "discovery not an object", Provider: discovering(cibatest.Always(cibatest.JSON(200, `["https://op.test"]`)))},
			{Name: "discovery null", Provider: discovering(cibatest.Always(cibatest.JSON(200, `null`)))},
		}},
		{"publish metadata that it must not", Unasked, violation, []Row{
			{Name: "issuer missing", Provider: announcing("issuer", nil), Says: "issuer"},
			{Name: "issuer with a slash more", Provider: announcing("issuer", "https://op.test/"), Says: `"https://op.test/", want exactly "https://op.test"`},
			{Name: "issuer of somebody else", Provider: announcing("issuer", "https://evil.test")},
			{Name: "token endpoint missing", Provider: announcing("token_endpoint", nil), Says: `"token_endpoint" is missing`},
			{Name: "token endpoint http", Provider: announcing("token_endpoint", "http://op.test/token"), Says: "https is required"},
			{Name: "token endpoint file", Provider: announcing("token_endpoint", "file:///etc/passwd"), Says: "not an absolute URL"},
			{Name: "token endpoint with a password", Provider: announcing("token_endpoint", "https://a:b@op.test/token"), Says: "a user or a fragment"},
			{Name: "token endpoint too long", Provider: announcing("token_endpoint", "https://op.test/"+strings.Repeat("x", 1024)), Says: "at most 1024"},
			{Name: "token endpoint relative", Provider: announcing("token_endpoint", "/token")},
			{Name: "token endpoint a number", Provider: announcing("token_endpoint", 7), Says: "not a string"},
			{Name: "backchannel endpoint missing", Provider: announcing("backchannel_authentication_endpoint", nil), Says: `"backchannel_authentication_endpoint" is missing`},
			{Name: "key set missing", Provider: announcing("jwks_uri", nil), Says: `"jwks_uri" is missing`},
			{Name: "delivery modes missing", Provider: announcing("backchannel_token_delivery_modes_supported", nil), Says: "no CIBA"},
			{Name: "delivery modes a string", Provider: announcing("backchannel_token_delivery_modes_supported", "poll"), Says: "array of strings"},
			{Name: "delivery modes numbers", Provider: announcing("backchannel_token_delivery_modes_supported", []int{1}), Says: "array of strings"},
			{Name: "alias http", Provider: announcing("mtls_endpoint_aliases", map[string]any{"token_endpoint": "http://op.test/t"}), Says: "mtls_endpoint_aliases.token_endpoint"},
		}},
		{"not support the mode that the client is registered for", Unasked, unsupported, []Row{
			{Name: "delivery modes of others", Provider: announcing("backchannel_token_delivery_modes_supported", []string{"push", strings.Repeat("x", 1000)}), Says: `Delivery: is "poll", but`},
		}},
		{"publish keys that verify nothing", Unasked, violation, []Row{
			{Name: "keys HTML", Provider: keying(cibatest.Always(cibatest.HTML(200)))},
			{Name: "keys truncated", Provider: keying(cibatest.Always(cibatest.TruncatedJSON()))},
			{Name: "keys empty", Provider: keys([]any{}), Says: "no usable"},
			{Name: "keys missing", Provider: keys(nil)},
			{Name: "keys symmetric only", Provider: keys([]any{map[string]any{"kty": "oct", "k": "c2VjcmV0"}})},
			{Name: "keys short", Provider: keys([]any{rsaKey(1024)}), Says: "no usable"},
			{Name: "keys beyond all measure", Provider: keys([]any{rsaKey(1 << 16)}), Says: "no usable"},
			{Name: "keys too many", Provider: keys(make([]map[string]any, 101)), Says: "more than 100"},
			{Name: "keys huge", Provider: keying(cibatest.Always(cibatest.Huge(257 << 10)))},
		}},
	}
}

func discovering(s cibatest.Script) *cibatest.Provider { return &cibatest.Provider{Discovery: s} }
func keying(s cibatest.Script) *cibatest.Provider      { return &cibatest.Provider{Keys: s} }

func announcing(member string, value any) *cibatest.Provider {
	return &cibatest.Provider{EditMetadata: set(member, value)}
}

func keys(value any) *cibatest.Provider { return &cibatest.Provider{EditKeys: set("keys", value)} }

// rsaKey returns a JWK with a modulus of so many bits, which nobody has factors
// of.
func rsaKey(bits uint) map[string]any {
	modulus := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return map[string]any{"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(modulus.Bytes())}
}
