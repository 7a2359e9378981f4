package ciba

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
)

// Limits of notification tokens, in bytes.
const (
	// MaxNotificationToken bounds a client_notification_token (CIBA Core section
	// 7.1).
	MaxNotificationToken = 1024
	// MaxSignInID bounds the id in a token of NotificationTokens.
	MaxSignInID = 256
	// MinNotificationKey is the least length of a key of NotificationTokens.
	MinNotificationKey = 32
)

// notificationDomain separates these MACs from others under the same key.
const notificationDomain = "ciba client_notification_token 1\x00"

// NotificationTokens mints and verifies the tokens with which a provider proves
// that a notification is about one sign-in. A token is the sign-in's id and an
// HMAC-SHA256 of it (256 bits, where CIBA Core section 7.1 asks for 128), so any
// process with the key can verify it, and nothing needs to be stored. It is safe
// for concurrent use.
type NotificationTokens struct{ keys [][]byte }

// NewNotificationTokens returns tokens under the first key; those under the
// other keys are still good, so that a key can be replaced while sign-ins are
// pending. Each key has MinNotificationKey or more random bytes. Errors are of
// type [*FieldError].
func NewNotificationTokens(keys ...[]byte) (*NotificationTokens, error) {
	if len(keys) == 0 {
		return nil, fieldErrorf("keys", "are missing")
	}
	n := &NotificationTokens{}
	for i, k := range keys {
		if len(k) < MinNotificationKey {
			return nil, fieldErrorf("keys", "element %d has %d bytes, want at least %d", i, len(k), MinNotificationKey)
		}
		n.keys = append(n.keys, append([]byte(nil), k...))
	}
	return n, nil
}

// Mint returns the token for a sign-in, for
// [AuthenticationRequest].NotificationToken. The id names the sign-in at the
// caller, must never be used for another one, and is readable in the token. The
// error is a [*FieldError].
func (n *NotificationTokens) Mint(id string) (string, error) {
	if id == "" || len(id) > MaxSignInID {
		return "", fieldErrorf("id", "has %d bytes, want 1 to %d", len(id), MaxSignInID)
	}
	return encodeSegment([]byte(id)) + "." + encodeSegment(notificationMAC(n.keys[0], id)), nil
}

// Verify returns the id in a token that Mint made. It takes the same time for
// every wrong MAC.
func (n *NotificationTokens) Verify(token string) (id string, ok bool) {
	if len(token) > MaxNotificationToken {
		return "", false
	}
	first, second, _ := strings.Cut(token, ".")
	name, okName := decodeSegment(first)
	mac, okMAC := decodeSegment(second)
	if !okName || !okMAC || len(name) == 0 || len(name) > MaxSignInID {
		return "", false
	}
	for _, k := range n.keys {
		ok = hmac.Equal(mac, notificationMAC(k, string(name))) || ok
	}
	if !ok {
		return "", false
	}
	return string(name), true
}

func notificationMAC(key []byte, id string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(notificationDomain))
	h.Write([]byte(id))
	return h.Sum(nil)
}

// checkNotificationToken wants a b64token (RFC 6750 section 2.1) long enough to
// hold 160 bits.
func checkNotificationToken(token string) error {
	const minLength = 27 // 160 bits in base64
	body := strings.TrimRight(token, "=")
	if len(token) < minLength || len(token) > MaxNotificationToken || body == "" || strings.ContainsFunc(body, notB64) {
		return fieldErrorf("NotificationToken", "is not a b64token of %d to %d characters", minLength, MaxNotificationToken)
	}
	return nil
}

func notB64(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~+/", c)
}
