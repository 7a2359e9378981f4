package ciba

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// adaptLoginHint writes the login hint in the provider's format.
func (c *Client) adaptLoginHint(r *AuthenticationRequest) error {
	if r.LoginHint == "" || c.profile.Hints.Format != profile.IssSub {
		return nil
	}
	hint, err := issSub(c.issuer, r.LoginHint)
	if err != nil {
		return fieldErrorf("LoginHint", "%v", err)
	}
	r.LoginHint = hint
	return nil
}

// An issSubHint is a subject identifier (RFC 9493 section 3.2.3) in the order in
// which it is always written.
type issSubHint struct {
	Format string `json:"format"`
	Issuer string `json:"iss"`
	Sub    string `json:"sub"`
}

// issSub returns a hint as a subject identifier of issuer. A text that begins
// with a brace must be one already, however it is written; any other is the
// subject. Errors do not quote it.
func issSub(issuer, hint string) (string, error) {
	h := issSubHint{Format: string(profile.IssSub), Issuer: slashed(issuer), Sub: hint}
	if strings.HasPrefix(strings.TrimSpace(hint), "{") {
		var err error
		if h.Sub, err = subjectOf(h, hint); err != nil {
			return "", err
		}
	}
	switch {
	case len(h.Sub) > maxSubject:
		return "", fmt.Errorf("names a subject of %d bytes, at most %d are allowed", len(h.Sub), maxSubject)
	case strings.ContainsFunc(h.Sub, func(c rune) bool { return !unicode.IsPrint(c) }):
		return "", errors.New("names a subject with an unprintable character")
	}
	text, err := json.Marshal(h)
	return string(text), err
}

// subjectOf returns the subject that a JSON object names, which must be like want
// in everything else.
func subjectOf(want issSubHint, hint string) (string, error) {
	o, err := parseObject([]byte(hint))
	if err != nil {
		return "", errors.New("begins with a brace, but is no JSON object")
	}
	if members := slices.Sorted(maps.Keys(o)); !slices.Equal(members, []string{"format", "iss", "sub"}) {
		return "", fmt.Errorf("is a JSON object with other members than %q, %q and %q", "format", "iss", "sub")
	}
	format, errFormat := o.text("format", maxURL)
	iss, errIssuer := o.text("iss", maxURL)
	sub, errSub := o.text("sub", maxSubject)
	switch {
	case errors.Join(errFormat, errIssuer, errSub) != nil:
		return "", errors.New("has a member that is no text, or too long")
	case format != want.Format:
		return "", fmt.Errorf("has another format than %q", want.Format)
	case slashed(iss) != want.Issuer:
		return "", fmt.Errorf("is of another issuer than %q", want.Issuer)
	case sub == "":
		return "", errors.New("has an empty sub")
	}
	return sub, nil
}

// slashed returns an issuer with a slash at its end, as it must have in a hint.
func slashed(issuer string) string { return strings.TrimSuffix(issuer, "/") + "/" }
