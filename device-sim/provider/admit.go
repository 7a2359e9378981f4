package provider

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// maxPurpose bounds the purpose text, in bytes.
const maxPurpose = 200

// inspectCIBA looks at an authentication request (CIBA Core section 7.1) for
// what go-oidc would ignore although it changes what is asked.
func (p *Provider) inspectCIBA(form url.Values, c *call) error {
	hints := 0
	for _, name := range []string{"login_hint", "login_hint_token", "id_token_hint"} {
		if form.Get(name) != "" {
			hints++
		}
	}
	if hints != 1 {
		return goidc.Errorf(goidc.ErrorCodeInvalidRequest, "%d hints, exactly one is needed", hints)
	}
	for _, name := range []string{"request", "request_uri"} {
		if form.Has(name) {
			return goidc.Errorf(goidc.ErrorCodeInvalidRequest, "signed requests are not supported: parameter %q", name)
		}
	}
	if form.Has("authorization_details") {
		return goidc.NewError(goidc.ErrorCodeInvalidAuthDetails, "no type of authorization_details is supported")
	}
	if expiry := form.Get("requested_expiry"); expiry != "" {
		if n, err := strconv.Atoi(expiry); err != nil || n < 1 {
			return goidc.NewError(goidc.ErrorCodeInvalidRequest, "requested_expiry is not a positive number of seconds")
		}
	}
	if err := readPurpose(form, c); err != nil {
		return err
	}
	return p.takeIDTokenHint(form, c)
}

// readPurpose takes the text that tells the person what the sign-in is for. It
// stands in the parameter purpose, an extension of this provider, or as member
// purpose of request_context, the JSON object of FAPI-CIBA.
func readPurpose(form url.Values, c *call) error {
	c.purpose = form.Get("purpose")
	if text := form.Get("request_context"); text != "" {
		object := struct {
			Purpose string `json:"purpose"`
		}{c.purpose}
		if err := json.Unmarshal([]byte(text), &object); err != nil {
			return goidc.NewError(goidc.ErrorCodeInvalidRequest, "request_context is not a JSON object with a text as purpose")
		}
		if c.purpose != "" && c.purpose != object.Purpose {
			return goidc.NewError(goidc.ErrorCodeInvalidRequest, "purpose is said twice and differently")
		}
		c.purpose = object.Purpose
	}
	if len(c.purpose) > maxPurpose || !isLine(c.purpose) {
		return goidc.Errorf(goidc.ErrorCodeInvalidRequest, "purpose is not a line of at most %d bytes", maxPurpose)
	}
	return nil
}

// isLine reports whether s is UTF-8 without control characters.
func isLine(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// admit is go-oidc's hook for a new request whose client is authenticated and
// whose scopes are allowed. It finds the person and sets the bounds.
func (p *Provider) admit(ctx context.Context, as *goidc.AuthnSession, _ *goidc.Client) error {
	c := callOf(ctx)
	if as.BindingMessage != "" && !isText(as.BindingMessage, p.cfg.MaxBindingMessage, p.cfg.BindingPunctuation) {
		return goidc.Errorf(goidc.ErrorCodeInvalidBindingMessage,
			"binding_message is not 1 to %d letters, digits and characters of %q", p.cfg.MaxBindingMessage, p.cfg.BindingPunctuation)
	}
	person, err := p.hinted(as, c)
	if err != nil {
		return err
	}
	if p.requests.full() {
		return goidc.NewError("temporarily_unavailable", "too many requests are pending").WithStatusCode(http.StatusServiceUnavailable)
	}
	if limit := int(time.Now().Add(p.cfg.MaxLifetime).Unix()); as.ExpiresAt > limit {
		as.ExpiresAt = limit
	}
	as.Subject = person.Subject
	as.Store[storeRequest] = p.requestOf(as, c.purpose)
	return nil
}
