package schemas

import (
	"fmt"
	"io"
	"log/slog"
)

// Private is what a sign-in says to the bridge alone. At most one of the
// hints is set, and none where the sign-in names a paired person; at least one
// field is set.
type Private struct {
	LoginHint      string `cbor:"-27,keyasint,omitempty"` // CIBA Core section 7.1; at most 256 bytes
	LoginHintToken string `cbor:"-28,keyasint,omitempty"` // at most 3072 bytes
	IDTokenHint    string `cbor:"-29,keyasint,omitempty"` // at most 3072 bytes
	Purpose        string `cbor:"-30,keyasint,omitempty"` // what it is for, to be shown on the phone; at most 128 bytes
}

// redacted stands for a secret wherever one is printed by mistake.
const redacted = "[sealed]"

// Format prints none of the contents, whatever the verb.
func (Private) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// LogValue logs none of the contents.
func (Private) LogValue() slog.Value { return slog.StringValue(redacted) }

// Hints counts the hints that are set: 0 or 1 in a valid Private.
func (p Private) Hints() int {
	n := 0
	for _, h := range []string{p.LoginHint, p.LoginHintToken, p.IDTokenHint} {
		if h != "" {
			n++
		}
	}
	return n
}

func (p Private) check() error {
	if p == (Private{}) {
		return needField("hint, purpose", false)
	}
	if p.Hints() > 1 {
		return failf(ClassConflict, "hint", "%d hints, at most one is allowed", p.Hints())
	}
	return firstError(
		checkText("login_hint", p.LoginHint, maxHint),
		checkText("login_hint_token", p.LoginHintToken, maxHintToken),
		checkText("id_token_hint", p.IDTokenHint, maxHintToken),
		checkText("purpose", p.Purpose, maxPurpose))
}

// SealPrivate seals p to the bridge's key for the request id of device d.
func SealPrivate(to PublicKey, d DeviceID, id ID, p Private) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	kid := to.ID()
	return sealTo(to, &kid, UpTopic(d), id, marshal(p))
}

// OpenPrivate is the inverse of SealPrivate.
func OpenPrivate(k *SealKey, d DeviceID, id ID, sealed []byte) (Private, error) {
	plain, err := k.openWith(true, UpTopic(d), id, sealed)
	if err != nil {
		return Private{}, err
	}
	var p Private
	if err := unmarshal(plain, &p, func() error { return p.check() }); err != nil {
		return Private{}, err
	}
	return p, nil
}

// Open opens the sealed part of m, if there is one, and holds the rule that
// only both parts together can break: a sign-in names the person by a handle
// or by one hint, never by both. k may be nil where m has no sealed part.
func (m *SignIn) Open(k *SealKey, d DeviceID) (Private, error) {
	var p Private
	if len(m.Sealed) > 0 {
		var err error
		if p, err = OpenPrivate(k, d, m.ID, m.Sealed); err != nil {
			return Private{}, err
		}
	}
	if err := exactlyOne("person, hint", m.Person != nil, p.Hints() == 1); err != nil {
		return Private{}, err
	}
	return p, nil
}

// A TokenType says how the access token is presented (RFC 9200 section 8.4.2
// gives the numbers).
type TokenType uint8

// The token types. On the wire Bearer is said by absence.
const (
	Bearer TokenType = 0
	DPoP   TokenType = 2 // RFC 9449; "PoP" in the registry
)

// String returns the HTTP authentication scheme.
func (t TokenType) String() string {
	if t == DPoP {
		return "DPoP"
	}
	return "Bearer"
}

// A Grant is what the person approved, for the device's eyes only.
type Grant struct {
	AccessToken Bytes     `cbor:"1,keyasint"`             // as the provider issued it; at most 12,288 bytes
	ExpiresIn   uint32    `cbor:"2,keyasint"`             // seconds, from when the grant is unsealed
	Scope       string    `cbor:"9,keyasint,omitempty"`   // where it differs from what was asked (RFC 6749 section 5.1)
	TokenType   TokenType `cbor:"34,keyasint,omitempty"`  // absent: Bearer
	Person      Handle    `cbor:"-2,keyasint"`            // names the person from now on; earlier handles are void
	Name        string    `cbor:"-31,keyasint,omitempty"` // to greet with; at most 64 bytes
	Renewable   bool      `cbor:"-32,keyasint,omitempty"` // the session can be renewed
}

// Format prints none of the contents, whatever the verb.
func (Grant) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// LogValue logs none of the contents.
func (Grant) LogValue() slog.Value { return slog.StringValue(redacted) }

func (g Grant) check() error {
	if n := len(g.AccessToken); n > maxToken {
		return failf(ClassLimit, "access_token", "%d bytes, limit %d", n, maxToken)
	}
	if g.TokenType != Bearer && g.TokenType != DPoP {
		return failf(ClassLimit, "token_type", "%d, want 2 (DPoP) or none (Bearer)", g.TokenType)
	}
	if g.Scope != "" {
		if err := checkScope(g.Scope); err != nil {
			return err
		}
	}
	return firstError(
		needField("access_token", len(g.AccessToken) > 0),
		needField("expires_in", g.ExpiresIn > 0),
		needField("person", g.Person != Handle{}),
		checkText("name", g.Name, maxShort))
}

// SealGrant seals g to the response key of the request id of device d.
func SealGrant(to PublicKey, d DeviceID, id ID, g Grant) ([]byte, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	return sealTo(to, nil, DownTopic(d), id, marshal(g))
}

// OpenGrant is the inverse of SealGrant. The caller holds the key until the
// grant is stored, then forgets it.
func OpenGrant(k *SealKey, d DeviceID, id ID, sealed []byte) (Grant, error) {
	plain, err := k.openWith(false, DownTopic(d), id, sealed)
	if err != nil {
		return Grant{}, err
	}
	var g Grant
	if err := unmarshal(plain, &g, func() error { return g.check() }); err != nil {
		return Grant{}, err
	}
	return g, nil
}
