package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// defaultTokenLife is for providers that do not say how long a token lives.
const defaultTokenLife = 5 * time.Minute

// maxName is how many bytes a display name has on the wire.
const maxName = 64

var errNothingGranted = errors.New("none of the scopes asked for was granted")

// grant seals the tokens to the device and ends the sign-in. Until that is
// durable, the tokens exist in this function only: a crash loses them, and the
// sign-in ends as interrupted.
func (b *Bridge) grant(ctx context.Context, r store.Request, tokens *ciba.Tokens) error {
	now := time.Now()
	g := grantOf(r.Key, r.Details.ResponseKey, r.Details.Scope, tokens)
	expires := now.Add(g.life)
	life, offline := b.offline(r.Details.Kind)
	until := now.Add(life)
	offline = offline && tokens.RefreshToken != ""
	g.renewable = offline && expires.Before(until)
	sealed, err := g.seal()
	if err != nil {
		code := sealCode(err)
		b.complain(r.Key, code, err)
		return b.conclude(ctx, r, code, 0)
	}
	kept := store.Grant{
		Person: r.Person,
		Pairing: store.Pairing{
			Device:  r.Device,
			Issuer:  r.Details.Issuer,
			Subject: tokens.IDToken.Subject,
			Hint:    r.Details.Hint,
			Name:    g.name,
		},
		Handle:  g.handle,
		Expires: expires,
	}
	if offline {
		kept.Renewal = &store.Renewal{Refresh: tokens.RefreshToken, Kind: r.Details.Kind, Scope: g.scope}
		kept.RenewUntil = until
	}
	if g.renewable {
		kept.Expires = until
	}
	e, err := b.ending(r.Key, &schemas.Granted{ID: r.ID, Sealed: sealed}, metrics.Granted, expires)
	return b.finish(ctx, r, e, err, func() (bool, error) {
		return b.cfg.Store.Grant(ctx, e, kept)
	})
}

// A grantDraft is a grant for a device's eyes only.
type grantDraft struct {
	to          store.Key // the request
	responseKey schemas.PublicKey
	asked       []string
	tokens      *ciba.Tokens

	handle    schemas.Handle
	name      string
	life      time.Duration // of the access token
	scope     []string      // as granted; known once it is sealed
	renewable bool
}

func grantOf(to store.Key, responseKey schemas.PublicKey, asked []string, tokens *ciba.Tokens) *grantDraft {
	g := &grantDraft{to: to, responseKey: responseKey, asked: asked, tokens: tokens, handle: schemas.NewHandle(), life: tokens.ExpiresIn}
	if g.life < time.Second {
		g.life = defaultTokenLife
	}
	if tokens.IDToken != nil {
		g.name = displayName(tokens.IDToken.Claims)
	}
	return g
}

func (g *grantDraft) seal() ([]byte, error) {
	if g.tokens.TokenType != schemas.Bearer.String() {
		return nil, fmt.Errorf("the provider issued a token of type %q, want %q", g.tokens.TokenType, schemas.Bearer)
	}
	less, err := grantedScope(g.asked, g.tokens.Scope)
	if err != nil {
		return nil, err
	}
	if g.scope = g.asked; less != "" {
		g.scope = strings.Fields(less)
	}
	sealed, err := schemas.SealGrant(g.responseKey, g.to.Device, g.to.ID, schemas.Grant{
		AccessToken: []byte(g.tokens.AccessToken),
		ExpiresIn:   uint32(min(g.life/time.Second, 1<<32-1)),
		Scope:       less,
		Person:      g.handle,
		Name:        g.name,
		Renewable:   g.renewable,
	})
	if err != nil {
		return nil, fmt.Errorf("the grant cannot be told to the device: %w", err)
	}
	if len(sealed) > schemas.MaxDown-256 { // what signing adds is about 130
		return nil, fmt.Errorf("the sealed grant has %d bytes, limit %d", len(sealed), schemas.MaxDown-256)
	}
	return sealed, nil
}

// sealCode says what it means to the device that its grant could not be sealed.
func sealCode(err error) schemas.Code {
	if errors.Is(err, errNothingGranted) {
		return schemas.InvalidScope
	}
	return schemas.ProviderError
}

// grantedScope returns what of the scope that was asked for is granted; "" for
// all of it (RFC 6749 section 5.1). openid is the bridge's business: providers
// leave it out (a resource's scope alone comes back) or put it in. Scopes that
// nobody asked for are not passed on.
func grantedScope(asked, got []string) (string, error) {
	asked = without(asked, "openid")
	if got == nil || len(asked) == 0 {
		return "", nil
	}
	var both []string
	for _, s := range asked {
		if slices.Contains(got, s) {
			both = append(both, s)
		}
	}
	switch len(both) {
	case 0:
		return "", errNothingGranted
	case len(asked):
		return "", nil
	}
	return strings.Join(both, " "), nil
}

// displayName returns the name claim of an ID token, or given_name, fit for the
// wire; "" if there is none.
func displayName(claims json.RawMessage) string {
	var c struct {
		Name  any `json:"name"`
		Given any `json:"given_name"`
	}
	_ = json.Unmarshal(claims, &c) // whatever is wrong with it, there is no name
	for _, claim := range []any{c.Name, c.Given} {
		if s, ok := claim.(string); ok {
			if s = clean(s); s != "" {
				return s
			}
		}
	}
	return ""
}

// clean drops characters that are no part of a name but could change how what
// stands beside it on a screen looks, and cuts a text to maxName bytes.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, s)
	for len(s) > maxName {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
}
