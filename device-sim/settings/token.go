package settings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// maxToken bounds an access token.
const maxToken = 8 << 10

// access is what a verified token allows.
type access struct {
	subject string
	client  string
	scopes  []string
}

// refusal is a request refused for its token (RFC 6750 section 3.1).
type refusal struct {
	status int
	code   string // error of the challenge; empty if no token was sent
	detail string
	scope  string // what would be enough, with insufficient_scope
	cause  error  // for the log
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return fmt.Sprintf("%s: %v", r.detail, r.cause)
	}
	return r.detail
}

func (r *refusal) Unwrap() error { return r.cause }

// challenge is the value of WWW-Authenticate.
func (r *refusal) challenge() string {
	c := `Bearer realm="settings"`
	if r.code != "" {
		c += fmt.Sprintf(`, error=%q, error_description=%q`, r.code, r.detail)
	}
	if r.scope != "" {
		c += fmt.Sprintf(`, scope=%q`, r.scope)
	}
	return c
}

func badRequest(detail string) error {
	return &refusal{status: http.StatusBadRequest, code: "invalid_request", detail: detail}
}

func badToken(detail string, cause error) error {
	return &refusal{status: http.StatusUnauthorized, code: "invalid_token", detail: detail, cause: cause}
}

// verifier checks access tokens as RFC 9068 section 4 demands.
type verifier struct {
	cfg  Config
	keys *keySet
}

// accessClaims is the body of an access token (RFC 9068 section 2.2).
type accessClaims struct {
	jwt.Claims
	ClientID     string          `json:"client_id"`
	Scope        string          `json:"scope"`
	Confirmation json.RawMessage `json:"cnf"`
}

// verify returns what the token of a request allows. Errors are a *refusal, or
// errIssuer when the issuer's keys cannot be had.
func (v *verifier) verify(r *http.Request) (access, error) {
	raw, err := bearer(r)
	if err != nil {
		return access{}, err
	}
	token, err := jwt.ParseSigned(raw, v.cfg.Algorithms)
	if err != nil {
		return access{}, badToken("the token is not a signed JWT of an accepted algorithm", err)
	}
	claims, err := v.open(r.Context(), token)
	if err != nil {
		return access{}, err
	}
	if err := v.check(claims); err != nil {
		return access{}, err
	}
	return access{subject: claims.Subject, client: claims.ClientID, scopes: strings.Fields(claims.Scope)}, nil
}

// bearer takes the token from the one place where it may stand.
func bearer(r *http.Request) (string, error) {
	if r.URL.Query().Has("access_token") {
		return "", badRequest("the token must be in the Authorization header")
	}
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return "", badRequest("more than one Authorization header")
	}
	if len(headers) == 0 {
		return "", &refusal{status: http.StatusUnauthorized, detail: "an access token is needed"}
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", &refusal{status: http.StatusUnauthorized, detail: "the authentication scheme must be Bearer"}
	}
	if token = strings.TrimSpace(token); token == "" || len(token) > maxToken {
		return "", badRequest(fmt.Sprintf("the token has %d bytes, 1 to %d are allowed", len(token), maxToken))
	}
	return token, nil
}

// open checks type and signature.
func (v *verifier) open(ctx context.Context, token *jwt.JSONWebToken) (*accessClaims, error) {
	header := token.Headers[0]
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	if typ = strings.TrimPrefix(strings.ToLower(typ), "application/"); typ != "at+jwt" {
		return nil, badToken("the token's type is not at+jwt", nil)
	}
	key, err := v.keys.find(ctx, header.KeyID, header.Algorithm)
	if errors.Is(err, errUnknownKey) {
		return nil, badToken("the token is signed with a key that the issuer does not publish", err)
	}
	if err != nil {
		return nil, err
	}
	claims := &accessClaims{}
	if err := token.Claims(key, claims); err != nil {
		return nil, badToken("the token's signature or body is wrong", err)
	}
	return claims, nil
}

func (v *verifier) check(c *accessClaims) error {
	now, leeway := time.Now(), v.cfg.Leeway
	switch {
	case c.Issuer != v.cfg.Issuer:
		return badToken("the token is from another issuer", nil)
	case !slices.Contains(c.Audience, v.cfg.Audience):
		return badToken("the token is for another audience", nil)
	case c.Expiry == nil || c.IssuedAt == nil || c.Subject == "" || c.ClientID == "" || c.ID == "":
		return badToken("the token lacks one of exp, iat, sub, client_id, jti", nil)
	case !now.Before(c.Expiry.Time().Add(leeway)):
		return badToken("the token has expired", nil)
	case c.NotBefore != nil && now.Add(leeway).Before(c.NotBefore.Time()):
		return badToken("the token is not valid yet", nil)
	case now.Add(leeway).Before(c.IssuedAt.Time()):
		return badToken("the token was issued in the future", nil)
	case len(c.Confirmation) > 0 && string(c.Confirmation) != "null":
		return badToken("the token is bound to a key and cannot be used as a bearer token", nil)
	}
	return nil
}
