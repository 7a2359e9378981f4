package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/fxamacker/cbor/v2"

	"github.com/carillon-iot/carillon/schemas"
)

// A Pairing is a person whom a device has signed in.
type Pairing struct {
	Device  schemas.DeviceID
	Issuer  string
	Subject string
	Hint    Hint   // how to name them to the provider
	Name    string // to greet them with; often ""
}

func (p Pairing) where() string { return pairingPlace(string(p.Device), p.Issuer, p.Subject) }

func pairingPlace(device, issuer, subject string) string {
	return "pairings/" + device + "/" + issuer + "/" + subject
}

// pairingSecret is what is encrypted of a pairing.
type pairingSecret struct {
	Hint Hint   `cbor:"1,keyasint"`
	Name string `cbor:"2,keyasint,omitempty"`
}

func (s *Store) sealPairing(p Pairing) ([]byte, error) {
	plain, err := cbor.Marshal(pairingSecret{p.Hint, p.Name})
	if err != nil {
		return nil, fmt.Errorf("encoding a pairing: %w", err)
	}
	return s.keys.seal(p.where(), plain), nil
}

// ErrUnreadable says that the key of a secret is not among those given, or that
// the database was tampered with.
var ErrUnreadable = errors.New("store: a secret does not open")

// ByHandle returns whom a device means by a handle.
func (s *Store) ByHandle(ctx context.Context, d schemas.DeviceID, h schemas.Handle) (Pairing, bool, error) {
	p := Pairing{Device: d}
	var sealed []byte
	ok, err := s.get(ctx, `SELECT p.issuer, p.subject, p.secret FROM handles h
		JOIN pairings p ON p.device = h.device AND p.issuer = h.issuer AND p.subject = h.subject
		WHERE h.device = $1 AND h.handle = $2`, []any{d, h[:]}, &p.Issuer, &p.Subject, &sealed)
	if err != nil || !ok {
		return Pairing{}, false, err
	}
	var secret pairingSecret
	plain, err := s.keys.open(p.where(), sealed)
	if err == nil {
		err = cbor.Unmarshal(plain, &secret)
	}
	if err != nil {
		return Pairing{}, false, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	p.Hint, p.Name = secret.Hint, secret.Name
	return p, true, nil
}

// WhoIs returns the Person that a hint means: the subject that it has led to
// before, on any device, or else the hint itself, however it is spelt. It is for
// quotas, and proves nothing.
func (s *Store) WhoIs(ctx context.Context, issuer string, h Hint) (Person, error) {
	key := s.hintKey(issuer, h)
	var subject string
	ok, err := s.get(ctx, "SELECT subject FROM pairings WHERE issuer = $1 AND hint_key = $2 ORDER BY used_at DESC LIMIT 1",
		[]any{issuer, key[:]}, &subject)
	if err != nil || !ok {
		return key, err
	}
	return s.Subject(issuer, subject), nil
}

func (s *Store) hintKey(issuer string, h Hint) Person {
	value := h.Value
	if h.Kind == LoginHint {
		value = foldHint(value)
	}
	return s.index.hash(fmt.Sprintf("hint %d", h.Kind), issuer, value)
}

// foldHint returns what the spellings of one name have in common for providers
// that look at neither case nor blanks: otherwise each spelling would have
// quotas of its own, and ring the same phone. Two people whom only such a
// provider confuses share their quotas. The provider gets the hint as it is.
func foldHint(hint string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Cc) {
			return -1
		}
		return unicode.ToLower(unicode.ToUpper(r)) // upper first: ſ, ς and the Kelvin sign have it in common with s, σ, k
	}, hint)
}
