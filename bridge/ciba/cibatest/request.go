package cibatest

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/go-jose/go-jose/v4"
)

// parameters returns the parameters of an authentication request, which may be
// the claims of a signed one. It reports false for a request that must be
// refused.
func (p *Provider) parameters(form url.Values) (url.Values, bool) {
	outside := url.Values{}
	for name, values := range form {
		if !strings.HasPrefix(name, "client_") || name == "client_notification_token" {
			outside[name] = values
		}
	}
	signed := form.Get("request")
	if signed == "" {
		return outside, !p.RequireSignedRequest && p.Like.Parameters.Signed != profile.Required
	}
	if p.Like.Parameters.Signed == profile.No {
		return nil, false
	}
	// Nothing may stand beside a signed request but the client's authentication.
	if len(outside) != 1 || len(form["request"]) != 1 || p.Like.Parameters.ClientIDTwice && !form.Has("client_id") {
		return nil, false
	}
	claims, ok := p.signedClaims(signed)
	if !ok || !p.goodRequestClaims(claims) {
		return nil, false
	}
	params := url.Values{}
	for name, value := range claims {
		switch name {
		case "iss", "aud", "exp", "iat", "nbf", "jti", "client_id":
			continue
		}
		if params[name], ok = parameter(value); !ok {
			return nil, false
		}
	}
	return params, true
}

func (p *Provider) signedClaims(signed string) (map[string]json.RawMessage, bool) {
	var algs []jose.SignatureAlgorithm
	for _, alg := range p.RequestAlgs {
		algs = append(algs, jose.SignatureAlgorithm(alg))
	}
	if len(algs) == 0 {
		return nil, false
	}
	jws, err := jose.ParseSignedCompact(signed, algs)
	if err != nil || jws.Signatures[0].Protected.KeyID == "" {
		return nil, false
	}
	for _, k := range p.ClientKeys {
		if k.KeyID != jws.Signatures[0].Protected.KeyID {
			continue
		}
		var claims map[string]json.RawMessage
		payload, err := jws.Verify(k)
		return claims, err == nil && json.Unmarshal(payload, &claims) == nil
	}
	return nil, false
}

// goodRequestClaims holds the claims of CIBA Core section 7.1.1 against the
// stricter rules of FAPI-CIBA: the issuer as the only audience, and at most an
// hour between nbf and exp.
func (p *Provider) goodRequestClaims(claims map[string]json.RawMessage) bool {
	for _, name := range []string{"request", "request_uri", "sub", "client_secret", "client_assertion", "grant_type"} {
		if _, ok := claims[name]; ok {
			return false
		}
	}
	var c struct {
		Iss, Aud, Jti string
		Client        *string `json:"client_id"`
		Exp, Iat, Nbf *int64
	}
	for name, into := range map[string]any{
		"iss": &c.Iss, "aud": &c.Aud, "jti": &c.Jti, "exp": &c.Exp, "iat": &c.Iat, "nbf": &c.Nbf, "client_id": &c.Client,
	} {
		if raw, ok := claims[name]; ok && json.Unmarshal(raw, into) != nil {
			return false
		}
	}
	if c.Exp == nil || c.Iat == nil || c.Nbf == nil || p.Like.Parameters.ClientIDTwice != (c.Client != nil) {
		return false
	}
	id, now := orElse(p.ClientID, ClientID), time.Now().Unix()
	return c.Iss == id && (c.Client == nil || *c.Client == id) && c.Aud == p.IssuerURL() &&
		now < *c.Exp && *c.Iat <= now && *c.Nbf <= now && *c.Exp-*c.Nbf <= 3600 && p.firstUse(c.Jti)
}

// parameter returns a claim as the parameter that it stands for: an array of
// strings is a parameter that repeats, other JSON is text.
func parameter(raw json.RawMessage) ([]string, bool) {
	var text string
	var list []string
	switch {
	case string(raw) == "null":
		return nil, false
	case json.Unmarshal(raw, &text) == nil:
		return []string{text}, true
	case json.Unmarshal(raw, &list) == nil && len(list) > 0 && !slices.Contains(list, ""):
		return list, true
	default:
		return []string{string(raw)}, true
	}
}
