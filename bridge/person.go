package bridge

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// A who is a person that a request names.
type who struct {
	hint    store.Hint   // for the provider
	subject string       // who must approve; "" for whomever the hint means
	person  store.Person // for quotas
}

// openPrivate opens what the request says to the bridge alone, and checks that
// it names one person in one way.
func (b *Bridge) openPrivate(d schemas.DeviceID, m *schemas.SignIn) (schemas.Private, *policy.Refusal) {
	var key *schemas.SealKey
	if len(m.Sealed) > 0 {
		kid, err := schemas.SealedTo(m.Sealed)
		if err != nil {
			return schemas.Private{}, malformed(err)
		}
		var ok bool
		if key, ok = b.sealing.Load().keys[kid]; !ok { // a hello puts that right
			return schemas.Private{}, &policy.Refusal{Code: schemas.UnknownKey}
		}
	}
	p, err := m.Open(key, d)
	if err != nil {
		return schemas.Private{}, malformed(err)
	}
	return p, nil
}

func malformed(err error) *policy.Refusal {
	return &policy.Refusal{Code: schemas.Malformed, Reason: err.Error()}
}

// resolve finds out who is meant.
func (b *Bridge) resolve(ctx context.Context, d schemas.DeviceID, handle *schemas.Handle, p schemas.Private) (who, *policy.Refusal, error) {
	if handle != nil {
		return b.resolveHandle(ctx, d, *handle)
	}
	w := who{hint: store.Hint{Kind: store.LoginHint, Value: p.LoginHint}}
	switch {
	case p.LoginHintToken != "":
		w.hint = store.Hint{Kind: store.LoginHintToken, Value: p.LoginHintToken}
	case p.IDTokenHint != "":
		w.hint = store.Hint{Kind: store.IDTokenHint, Value: p.IDTokenHint}
	}
	if subject := cmp.Or(claimedSubject(p.IDTokenHint), b.namedSubject(p.LoginHint)); subject != "" {
		w.person = b.cfg.Store.Subject(b.cfg.Issuer, subject)
		return w, nil, nil
	}
	var err error
	w.person, err = b.cfg.Store.WhoIs(ctx, b.cfg.Issuer, w.hint)
	return w, nil, err
}

func (b *Bridge) resolveHandle(ctx context.Context, d schemas.DeviceID, h schemas.Handle) (who, *policy.Refusal, error) {
	p, ok, err := b.cfg.Store.ByHandle(ctx, d, h)
	if errors.Is(err, store.ErrUnreadable) { // to the device as good as gone
		b.log.Error("a stored person cannot be read", "device", d, "error", err)
		ok, err = false, nil
	}
	if err != nil {
		return who{}, nil, err
	}
	if !ok || p.Issuer != b.cfg.Issuer {
		return who{}, &policy.Refusal{Code: schemas.UnknownPerson, Reason: "no such handle on this device"}, nil
	}
	return who{hint: p.Hint, subject: p.Subject, person: b.cfg.Store.Subject(p.Issuer, p.Subject)}, nil, nil
}

// claimedSubject returns the sub of an ID token without verifying anything. It
// only decides whose quota is charged: the token itself goes to the provider,
// which verifies it.
func claimedSubject(token string) string {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	plain, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return ""
	}
	return subjectMember(plain)
}

// namedSubject returns the sub of a login_hint that is a JSON object, as some
// providers want it ({"format":"iss_sub", …}, RFC 9493 section 3.2.3); it could
// be spelt in any number of ways. At those providers any other text is a subject,
// see ciba.AuthenticationRequest.
func (b *Bridge) namedSubject(hint string) string {
	subject := subjectMember([]byte(hint))
	if subject == "" && b.cfg.Provider.Profile().Hints.Format == profile.IssSub {
		return hint
	}
	return subject
}

// subjectMember returns the member sub of a JSON object, or "". Only that exact
// name counts, and the last of several: so do others read it.
func subjectMember(text []byte) string {
	var members map[string]any
	if json.Unmarshal(text, &members) != nil {
		return ""
	}
	subject, _ := members["sub"].(string)
	return subject
}

// without returns the elements of list that are not s.
func without(list []string, s string) []string {
	out := make([]string, 0, len(list))
	for _, e := range list {
		if e != s {
			out = append(out, e)
		}
	}
	return out
}
