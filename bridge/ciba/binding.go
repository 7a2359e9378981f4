package ciba

import "crypto/rand"

// bindingAlphabet has 24 digits and letters that are told apart when read or
// spoken: no vowels, which could make words, and none of 0, 1, L, S, U, V, Z.
const bindingAlphabet = "23456789BCDFGHJKMNPQRTWX"

// NewBindingMessage returns a random message such as "4K7-P2X" for
// [AuthenticationRequest.BindingMessage]: short enough to compare at a glance,
// one of 191 million (24 to the sixth), and within the alphabet and length of
// every provider known to this package (Auth0, Keycloak, Okta, node
// oidc-provider).
func NewBindingMessage() string {
	message := make([]byte, 0, 7)
	for len(message) < cap(message) {
		if len(message) == 3 {
			message = append(message, '-')
		}
		message = append(message, bindingAlphabet[randomBelow(len(bindingAlphabet))])
	}
	return string(message)
}

// randomBelow returns a uniformly random number in [0, n), n < 256.
func randomBelow(n int) int {
	var b [1]byte
	for {
		rand.Read(b[:])
		if int(b[0]) < 256-256%n {
			return int(b[0]) % n
		}
	}
}
