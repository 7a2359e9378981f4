package ciba

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// parameters are those of an authentication request without credentials. A
// value is a string, a []string, an int64, or a json.RawMessage; none is empty.
type parameters map[string]any

// parameters returns those of a request; expiry is the name of that of
// RequestedExpiry.
func (r *AuthenticationRequest) parameters(expiry string) parameters {
	p := parameters{"scope": strings.Join(r.Scope, " ")}
	for name, value := range map[string]string{
		"login_hint":                r.LoginHint,
		"login_hint_token":          r.LoginHintToken,
		"id_token_hint":             r.IDTokenHint,
		"binding_message":           r.BindingMessage,
		"acr_values":                strings.Join(r.ACRValues, " "),
		"user_code":                 r.UserCode,
		"audience":                  r.Audience,
		"client_notification_token": r.NotificationToken,
	} {
		if value != "" {
			p[name] = value
		}
	}
	if r.RequestedExpiry > 0 {
		p[expiry] = int64(r.RequestedExpiry / time.Second)
	}
	if len(r.AuthorizationDetails) > 0 {
		p["authorization_details"] = compact(joinArray(r.AuthorizationDetails))
	}
	if len(r.Resource) > 0 {
		p["resource"] = r.Resource
	}
	if len(r.RequestContext) > 0 {
		p["request_context"] = compact(r.RequestContext)
	}
	for name, values := range r.Extra {
		if len(values) > 0 {
			p[name] = values
		}
	}
	return p
}

// form is how parameters are sent without a signature: a list is a parameter
// that repeats (RFC 8707 section 2), JSON is text (RFC 9396 section 2).
func (p parameters) form() url.Values {
	form := url.Values{}
	for name, value := range p {
		switch v := value.(type) {
		case string:
			form.Set(name, v)
		case []string:
			form[name] = append([]string(nil), v...)
		case int64:
			form.Set(name, strconv.FormatInt(v, 10))
		case json.RawMessage:
			form.Set(name, string(v))
		}
	}
	return form
}

// claims is how parameters are put into a signed request: numbers, lists and
// JSON as what they are (RFC 9101 section 4).
func (p parameters) claims() map[string]any {
	claims := make(map[string]any, len(p)+8)
	for name, value := range p {
		if list, ok := value.([]string); ok && len(list) == 1 {
			value = list[0]
		}
		// The one other parameter that is JSON (OpenID Connect Core section 5.5).
		if text, ok := value.(string); ok && name == "claims" {
			if _, err := parseObject([]byte(text)); err == nil {
				value = json.RawMessage(text)
			}
		}
		claims[name] = value
	}
	return claims
}

func joinArray(elements []json.RawMessage) json.RawMessage {
	array := []byte{'['}
	for i, e := range elements {
		if i > 0 {
			array = append(array, ',')
		}
		array = append(array, e...)
	}
	return append(array, ']')
}

// compact removes blanks from JSON that is known to be valid.
func compact(data json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return data
	}
	return b.Bytes()
}
