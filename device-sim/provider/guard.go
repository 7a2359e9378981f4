package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/luikyv/go-oidc/pkg/goidc"
)

// maxForm bounds the body of a request.
const maxForm = 64 << 10

// ServeHTTP serves the provider: discovery, keys, and the endpoints that
// discovery names. Every form passes the guard before go-oidc sees it.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		p.handler.ServeHTTP(w, r)
		return
	}
	c, err := p.inspect(w, r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	if c.basic {
		w = challenger{w}
	}
	if c.push && r.URL.Path == pathCIBA {
		w = withoutInterval{w}
	}
	p.handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
}

// call is what the guard learned about a form request. It travels in the
// request's context to the places where go-oidc asks us something.
type call struct {
	client  string // who the request claims to come from; go-oidc authenticates just this client
	basic   bool   // it used HTTP Basic authentication
	push    bool   // that client is in push mode
	redeem  bool   // it is a token request that presents an auth_req_id
	subject string // the person that a verified id_token_hint names, or empty
	purpose string // what the client says the sign-in is for
}

type callKey struct{}

// callOf returns the call of a context, or nil for one that comes from Approve
// or Deny.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

func (c *call) redeems() bool { return c != nil && c.redeem }

// inspect reads the form, refuses what go-oidc would misunderstand, and puts
// decoded credentials back into the request.
func (p *Provider) inspect(w http.ResponseWriter, r *http.Request) (*call, error) {
	if err := readForm(w, r); err != nil {
		return nil, err
	}
	c := &call{}
	if err := decodeBasic(r, c); err != nil {
		return nil, err
	}
	var err error
	if c.client, err = claimedClient(r); err != nil {
		return nil, err
	}
	c.push = p.clients[c.client].Delivery == Push
	switch r.URL.Path {
	case pathToken:
		return c, inspectToken(r.PostForm, c)
	case pathCIBA:
		return c, p.inspectCIBA(r.PostForm, c)
	}
	return c, nil
}

// readForm parses the body. A parameter may stand in it once (RFC 6749
// section 3.1), except resource (RFC 8707 section 2).
func readForm(w http.ResponseWriter, r *http.Request) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		if err == nil || r.ContentLength != 0 {
			return goidc.NewError(goidc.ErrorCodeInvalidRequest, "content type must be application/x-www-form-urlencoded").
				WithStatusCode(http.StatusUnsupportedMediaType)
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
			return goidc.Errorf(goidc.ErrorCodeInvalidRequest, "body is longer than %d bytes", maxForm).
				WithStatusCode(http.StatusRequestEntityTooLarge)
		}
		return goidc.NewError(goidc.ErrorCodeInvalidRequest, "body is not a form")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "resource" {
			return goidc.Errorf(goidc.ErrorCodeInvalidRequest, "parameter %q is repeated", name)
		}
	}
	return nil
}

// decodeBasic undoes the form encoding of client id and secret in HTTP Basic
// authentication (RFC 6749 section 2.3.1), which go-oidc leaves to us.
func decodeBasic(r *http.Request, c *call) error {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return nil
	}
	c.basic = true
	id, err1 := url.QueryUnescape(id)
	secret, err2 := url.QueryUnescape(secret)
	if err := errors.Join(err1, err2); err != nil {
		return goidc.NewError(goidc.ErrorCodeInvalidClient, "client id and secret must be form-encoded (RFC 6749 section 2.3.1)")
	}
	r.SetBasicAuth(id, secret)
	return nil
}

// claimedClient returns the client a request says it comes from, and refuses
// two methods of authentication in one request (RFC 6749 section 2.3).
func claimedClient(r *http.Request) (string, error) {
	id, methods := r.PostForm.Get("client_id"), 0
	if basic, _, ok := r.BasicAuth(); ok {
		id, methods = basic, methods+1
	}
	if r.PostForm.Get("client_secret") != "" {
		methods++
	}
	if assertion := r.PostForm.Get("client_assertion"); assertion != "" {
		methods++
		var claims jwt.Claims
		if token, err := jwt.ParseSigned(assertion, assertionAlgs); err == nil && token.UnsafeClaimsWithoutVerification(&claims) == nil {
			id = claims.Issuer
		}
	}
	if methods > 1 {
		return "", goidc.NewError(goidc.ErrorCodeInvalidRequest, "more than one method of client authentication")
	}
	return id, nil
}

var assertionAlgs = []goidc.SignatureAlgorithm{goidc.SigAlgES256, goidc.SigAlgPS256}

// inspectToken looks at a token request. With an auth_req_id it must ask for
// nothing: what was granted is fixed (CIBA Core section 10.1), and go-oidc
// destroys the grant if the request asks for something else.
func inspectToken(form url.Values, c *call) error {
	if form.Get("grant_type") != string(goidc.GrantCIBA) {
		return nil
	}
	c.redeem = true
	for _, name := range []string{"scope", "resource", "authorization_details"} {
		if form.Has(name) {
			return goidc.Errorf(goidc.ErrorCodeInvalidRequest, "parameter %q has no place in a token request with auth_req_id", name)
		}
	}
	return nil
}

// refuse writes an OAuth error as go-oidc does.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	refused := goidc.Error{Code: goidc.ErrorCodeInternalError}
	errors.As(err, &refused)
	status := refused.StatusCode()
	if _, _, basic := r.BasicAuth(); basic && status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", basicChallenge)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(refused) // the client may be gone
}

const basicChallenge = `Basic realm="client"`

// challenger adds the challenge that RFC 6749 section 5.2 wants in a 401 to a
// client that used HTTP authentication.
type challenger struct{ http.ResponseWriter }

func (w challenger) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", basicChallenge)
	}
	w.ResponseWriter.WriteHeader(status)
}

// withoutInterval drops the interval, which go-oidc gives as 0, from the
// acknowledgement to a client in push mode (CIBA Core section 7.3).
type withoutInterval struct{ http.ResponseWriter }

func (w withoutInterval) Write(body []byte) (int, error) {
	var ack map[string]any
	if err := json.Unmarshal(body, &ack); err != nil {
		return 0, fmt.Errorf("acknowledgement: %w", err)
	}
	delete(ack, "interval")
	short, err := json.Marshal(ack)
	if err != nil {
		return 0, err
	}
	if _, err := w.ResponseWriter.Write(short); err != nil {
		return 0, err
	}
	return len(body), nil
}

// isText reports whether s is 1 to n bytes of letters, digits and punctuation.
func isText(s string, n int, punctuation string) bool {
	if s == "" || len(s) > n {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		letter := r|0x20 >= 'a' && r|0x20 <= 'z'
		return !letter && (r < '0' || r > '9') && !strings.ContainsRune(punctuation, r)
	}) < 0
}
