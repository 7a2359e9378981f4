package ciba

import (
	"context"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// A Description is what a [Client] was configured to be.
type Description struct {
	Issuer, ClientID string
	Delivery         DeliveryMode
	// AuthMethod is the Authenticator's, such as "private_key_jwt".
	AuthMethod string
	// MutualTLS says that the client presents a certificate.
	MutualTLS bool
	// RequestAlg signs authentication requests, such as "ES256"; "" if they are not
	// signed.
	RequestAlg string
	// IDTokenAlgs are the accepted signature algorithms of ID tokens.
	IDTokenAlgs []string
}

// Describe returns what the client was configured to be. Its Profile is apart.
func (c *Client) Describe() Description {
	d := Description{
		Issuer: c.issuer, ClientID: c.identity.ClientID,
		Delivery: c.delivery, AuthMethod: c.auth.Method(), MutualTLS: c.mutualTLS,
	}
	if c.signer != nil {
		d.RequestAlg = string(c.signer.alg)
	}
	for _, alg := range c.algs {
		d.IDTokenAlgs = append(d.IDTokenAlgs, string(alg))
	}
	return d
}

// KeyAlgs returns, of the accepted algorithms of ID tokens, those that a key of
// the provider can make signatures with. It fetches the key set if need be; the
// errors are those of [Client.Metadata].
func (c *Client) KeyAlgs(ctx context.Context) ([]string, error) {
	set, err := c.keys.get(ctx)
	if err != nil {
		return nil, err
	}
	var algs []string
	for _, alg := range c.algs {
		if slices.ContainsFunc(set.keys, func(k jose.JSONWebKey) bool {
			return (k.Algorithm == "" || k.Algorithm == string(alg)) && fits(k.Key, alg)
		}) {
			algs = append(algs, string(alg))
		}
	}
	return algs, nil
}
