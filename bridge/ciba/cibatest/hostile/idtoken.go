package hostile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// A Forgery is an ID token that must be refused.
type Forgery struct {
	Name string
	// Check is the one that must notice.
	Check ciba.Check
	// Edit makes it of a good one.
	Edit func(*cibatest.Draft)
	// Algorithm is the provider's; "" for ES256.
	Algorithm string
	// Demanded says that it is refused only if the claim is demanded.
	Demanded bool
}

// Forgeries returns the list. A nonce is not on it: CIBA has none.
func Forgeries() []Forgery {
	return []Forgery{
		{Name: "wrong key", Check: ciba.CheckSignature, Edit: func(d *cibatest.Draft) { d.Key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }},
		{Name: "key of its own in the header", Check: ciba.CheckSignature, Edit: ownKey},
		{Name: "unknown kid", Check: ciba.CheckKey, Edit: func(d *cibatest.Draft) { d.KeyID = "another" }},
		{Name: "alg none", Check: ciba.CheckAlg, Edit: func(d *cibatest.Draft) { d.Algorithm = "none" }},
		{Name: "alg HS256 with the public key", Check: ciba.CheckAlg, Edit: func(d *cibatest.Draft) {
			d.Algorithm, d.Key = "HS256", must(d.Key.(*ecdsa.PrivateKey).PublicKey.Bytes())
		}},
		{Name: "alg HS256 with the client secret", Check: ciba.CheckAlg, Edit: func(d *cibatest.Draft) {
			d.Algorithm, d.Key = "HS256", []byte(strings.Repeat("secret", 8))
		}},
		{Name: "alg of another curve", Check: ciba.CheckKey, Edit: func(d *cibatest.Draft) {
			d.Algorithm, d.Key = "ES384", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
		}},
		{Name: "alg of another kind", Check: ciba.CheckKey, Edit: func(d *cibatest.Draft) {
			d.Algorithm, d.Key = "RS256", must(rsa.GenerateKey(rand.Reader, 2048))
		}},
		{Name: "alg RS256 with a PS256 key", Check: ciba.CheckKey, Algorithm: "PS256", Edit: func(d *cibatest.Draft) { d.Algorithm = "RS256" }},
		{Name: "typ of an access token", Check: ciba.CheckTyp, Edit: header("typ", "at+jwt")},
		{Name: "typ of a logout token", Check: ciba.CheckTyp, Edit: header("typ", "logout+jwt")},
		{Name: "critical extension", Check: ciba.CheckForm, Edit: header("crit", []string{"b64"})},
		{Name: "iss of another", Check: ciba.CheckIssuer, Edit: claim("iss", "https://evil.test")},
		{Name: "iss with a slash more", Check: ciba.CheckIssuer, Edit: claim("iss", "https://op.test/")},
		{Name: "iss missing", Check: ciba.CheckIssuer, Edit: claim("iss", nil)},
		{Name: "iss a list", Check: ciba.CheckIssuer, Edit: claim("iss", []string{"https://op.test"})},
		{Name: otherPerson, Check: ciba.CheckSubject, Edit: claim("sub", "bela@example.com")},
		{Name: "sub missing", Check: ciba.CheckSubject, Edit: claim("sub", nil)},
		{Name: "sub empty", Check: ciba.CheckSubject, Edit: claim("sub", "")},
		{Name: "sub a number", Check: ciba.CheckSubject, Edit: claim("sub", 7)},
		{Name: "sub too long", Check: ciba.CheckSubject, Edit: claim("sub", strings.Repeat("x", 256))},
		{Name: "sub with a zero byte", Check: ciba.CheckSubject, Edit: claim("sub", Person+"\x00")},
		{Name: "aud of another", Check: ciba.CheckAudience, Edit: claim("aud", "another-client")},
		{Name: "aud missing", Check: ciba.CheckAudience, Edit: claim("aud", nil)},
		{Name: "aud an empty list", Check: ciba.CheckAudience, Edit: claim("aud", []string{})},
		{Name: "aud a list of numbers", Check: ciba.CheckAudience, Edit: claim("aud", []int{1})},
		{Name: "aud an object", Check: ciba.CheckAudience, Edit: claim("aud", map[string]any{})},
		{Name: "two aud without azp", Check: ciba.CheckParty, Edit: claim("aud", []string{cibatest.ClientID, "another"})},
		{Name: "azp of another", Check: ciba.CheckParty, Edit: claim("azp", "another")},
		{Name: "exp past", Check: ciba.CheckExpiry, Edit: after("exp", -61*time.Second)},
		{Name: "exp missing", Check: ciba.CheckExpiry, Edit: claim("exp", nil)},
		{Name: "exp a string", Check: ciba.CheckExpiry, Edit: claim("exp", "4102444800")},
		{Name: "exp beyond the calendar", Check: ciba.CheckExpiry, Edit: claim("exp", 1e15)},
		{Name: "exp negative", Check: ciba.CheckExpiry, Edit: claim("exp", -1)},
		{Name: "iat in the future", Check: ciba.CheckIssuedAt, Edit: after("iat", 62*time.Second)},
		{Name: "iat before the request", Check: ciba.CheckIssuedAt, Edit: after("iat", -72*time.Second)},
		{Name: "iat missing", Check: ciba.CheckIssuedAt, Edit: claim("iat", nil)},
		{Name: "nbf in the future", Check: ciba.CheckNotBefore, Edit: after("nbf", 62*time.Second)},
		{Name: "nbf a string", Check: ciba.CheckNotBefore, Edit: claim("nbf", "soon")},
		{Name: "acr too weak", Check: ciba.CheckACR, Edit: claim("acr", "urn:weak")},
		{Name: "acr missing", Check: ciba.CheckACR, Edit: claim("acr", nil)},
		{Name: "acr a number", Check: ciba.CheckACR, Edit: claim("acr", 2)},
		{Name: "auth_time before the request", Check: ciba.CheckAuthTime, Edit: after("auth_time", -72*time.Second)},
		{Name: "auth_time in the future", Check: ciba.CheckAuthTime, Edit: after("auth_time", 62*time.Second)},
		{Name: "auth_time missing", Check: ciba.CheckAuthTime, Edit: claim("auth_time", nil), Demanded: true},
		{Name: "at_hash of another token", Check: ciba.CheckAtHash, Edit: func(d *cibatest.Draft) { d.Claims["at_hash"] = d.Hash("another") }},
		{Name: "at_hash whole instead of half", Check: ciba.CheckAtHash, Edit: func(d *cibatest.Draft) { d.Claims["at_hash"] = d.Claims["at_hash"].(string) + "AAAA" }},
		{Name: "at_hash a number", Check: ciba.CheckAtHash, Edit: claim("at_hash", 1)},
		{Name: "rt_hash of another token", Check: ciba.CheckRtHash, Edit: func(d *cibatest.Draft) { d.Claims[string(ciba.CheckRtHash)] = d.Hash("another") }},
		{Name: "auth_req_id of another request", Check: ciba.CheckAuthReqID, Edit: claim(string(ciba.CheckAuthReqID), "another")},
	}
}

// idTokens are the forgeries, and tokens that are none.
func idTokens() []Group {
	list := []Row{
		handing("id_token missing", "id_token", nil, "id_token"),
		handing("id_token empty", "id_token", "", ""),
		handing("id_token garbage", "id_token", "a.b.c", "form"),
		handing("id_token encrypted", "id_token", "a.b.c.d.e", "5 parts"),
		{Name: "id_token an access token", Provider: &cibatest.Provider{EditTokens: func(m map[string]any) { m["id_token"] = m["access_token"] }}},
	}
	var others, lax []Row
	for _, f := range Forgeries() {
		row := Row{Name: "ID token: " + f.Name, Provider: f.Provider(), Says: string(f.Check)}
		switch {
		case f.Demanded:
			row.Says = ""
			lax = append(lax, row)
		case f.Name == otherPerson:
			others = append(others, row)
		default:
			list = append(list, row)
		}
	}
	return []Group{
		{"hand out an ID token that is missing, forged, too old or not for this client", Redeemed, forged, list},
		{"hand out an ID token for another person than the one who is paired", Redeemed, wrongPerson, others},
		{"hand out an ID token that does not say when the person was authenticated", Redeemed, granted, lax},
	}
}

// Provider returns one that forges.
func (f *Forgery) Provider() *cibatest.Provider {
	return &cibatest.Provider{EditIDToken: f.Edit, Algorithm: f.Algorithm, RefreshTokens: true}
}

const otherPerson = "sub of another person"

func claim(name string, value any) func(*cibatest.Draft) {
	return func(d *cibatest.Draft) { set(name, value)(d.Claims) }
}

// after is a NumericDate that far from now.
func after(name string, d time.Duration) func(*cibatest.Draft) {
	return func(draft *cibatest.Draft) { draft.Claims[name] = time.Now().Add(d).Unix() }
}

func header(name string, value any) func(*cibatest.Draft) {
	return func(d *cibatest.Draft) { d.Header[name] = value }
}

// ownKey signs with a key that the token itself brings along.
func ownKey(d *cibatest.Draft) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	d.Key = key
	d.Header["jwk"] = jose.JSONWebKey{Key: &key.PublicKey, KeyID: d.KeyID, Algorithm: "ES256", Use: "sig"}
	d.Header["jku"] = "https://evil.test/jwks"
}

func must[K any](key K, err error) K {
	if err != nil {
		panic("hostile: " + err.Error())
	}
	return key
}
