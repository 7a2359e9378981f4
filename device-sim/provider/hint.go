package provider

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/luikyv/go-oidc/pkg/goidc"
)

// hintType is the media type of a login_hint_token of this provider.
const hintType jose.ContentType = "login-hint+jwt"

// maxHintLifetime bounds a login_hint_token: it is shown to a device nearby
// and used at once.
const maxHintLifetime = 10 * time.Minute

// hintClaims is a login_hint_token: the provider names a person to itself, by
// way of the phone, the device and the client (RFC 9493 section 3.2.3).
type hintClaims struct {
	jwt.Claims
	SubjectID subjectID `json:"sub_id"`
}

type subjectID struct {
	Format  string `json:"format"` // iss_sub
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
}

// LoginHintToken makes a token that the phone of a person can hand to a device
// nearby, on a screen or by radio, instead of an address that anybody could
// know. It is valid for the given time, at most 10 minutes, at any client.
func (p *Provider) LoginHintToken(subject string, lifetime time.Duration) (string, error) {
	if _, ok := p.people.bySubject[subject]; !ok {
		return "", fmt.Errorf("no person has subject %q", subject)
	}
	if lifetime < time.Second || lifetime > maxHintLifetime {
		return "", fmt.Errorf("lifetime %v of a login hint token is not between 1 s and %v", lifetime, maxHintLifetime)
	}
	now := time.Now()
	return p.key.sign(hintType, hintClaims{
		Claims: jwt.Claims{
			Issuer: p.cfg.Issuer, Audience: jwt.Audience{p.cfg.Issuer},
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(lifetime)),
		},
		SubjectID: subjectID{Format: "iss_sub", Issuer: p.cfg.Issuer, Subject: subject},
	})
}

// hinted finds the person whom the one hint of a request names.
func (p *Provider) hinted(as *goidc.AuthnSession, c *call) (Person, error) {
	subject := as.LoginHint
	switch {
	case c.subject != "":
		subject = c.subject
	case as.LoginHintToken != "":
		var err error
		if subject, err = p.readHintToken(as.LoginHintToken); err != nil {
			return Person{}, err
		}
	default:
		if err := checkHint(as.LoginHint); err != nil {
			return Person{}, goidc.NewError(goidc.ErrorCodeInvalidRequest, err.Error())
		}
	}
	if person, ok := p.people.find(subject); ok {
		return person, nil
	}
	return Person{}, goidc.NewError(goidc.ErrorCodeUnknownUserID, "nobody here is known by this hint")
}

func (p *Provider) readHintToken(raw string) (string, error) {
	var claims hintClaims
	if err := p.verify(raw, hintType, &claims); err != nil {
		return "", goidc.WrapError(goidc.ErrorCodeInvalidRequest, "login_hint_token is none of this provider's", err)
	}
	if claims.Issuer != p.cfg.Issuer || claims.SubjectID.Format != "iss_sub" || claims.SubjectID.Issuer != p.cfg.Issuer {
		return "", goidc.NewError(goidc.ErrorCodeInvalidRequest, "login_hint_token is none of this provider's")
	}
	if claims.Expiry == nil || !time.Now().Before(claims.Expiry.Time()) {
		return "", goidc.NewError(goidc.ErrorCodeExpiredLoginHintToken, "login_hint_token has expired")
	}
	return claims.SubjectID.Subject, nil
}

// takeIDTokenHint replaces an id_token_hint by the subject it names, after
// checking that this provider issued it to this client. Its expiry does not
// matter: a hint says who, it grants nothing. go-oidc would insist on an
// unexpired token, of which a client that signs people in again never has one.
func (p *Provider) takeIDTokenHint(form url.Values, c *call) error {
	raw := form.Get("id_token_hint")
	if raw == "" {
		return nil
	}
	var claims jwt.Claims
	if err := p.verify(raw, "JWT", &claims); err != nil {
		return goidc.WrapError(goidc.ErrorCodeInvalidRequest, "id_token_hint is none of this provider's", err)
	}
	if claims.Issuer != p.cfg.Issuer || claims.Subject == "" || !slices.Contains(claims.Audience, c.client) {
		return goidc.NewError(goidc.ErrorCodeInvalidRequest, "id_token_hint was not issued to this client")
	}
	c.subject = claims.Subject
	form.Del("id_token_hint")
	form.Set("login_hint", claims.Subject)
	return nil
}

// verify checks the signature and type of a token of ours.
func (p *Provider) verify(raw string, typ jose.ContentType, claims any) error {
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return err
	}
	if got := token.Headers[0].ExtraHeaders[jose.HeaderType]; got != string(typ) {
		return fmt.Errorf("type is %q, not %q", got, typ)
	}
	return token.Claims(p.key.Public().Key, claims)
}
