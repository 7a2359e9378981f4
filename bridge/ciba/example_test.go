package ciba_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// A sign-in from beginning to end, with a provider that runs in memory and a
// person who agrees at once.
func Example() {
	op := &cibatest.Provider{Interval: time.Second, AutoApprove: time.Millisecond}
	client, err := ciba.New(ciba.Config{
		Issuer:     op.IssuerURL(),
		ClientID:   cibatest.ClientID,
		Auth:       ciba.ClientSecretBasic(cibatest.ClientSecret),
		HTTPClient: op.Client(), // leave it out for a real provider
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	requested := time.Now()
	ack, err := client.RequestAuthentication(ctx, ciba.AuthenticationRequest{
		Scope:          []string{"openid", "profile"},
		LoginHint:      "anna@example.com",
		BindingMessage: client.Profile().Binding.New(), // show it to the person, too
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := client.Wait(ctx, ack, ciba.Expect{
		Subject:     "anna@example.com",
		RequestedAt: requested,
	})
	switch {
	case errors.Is(err, ciba.ErrDenied):
		fmt.Println("the person said no")
	case errors.Is(err, ciba.ErrExpired):
		fmt.Println("the person did not answer")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println(tokens.TokenType, "token for", tokens.IDToken.Subject)
	}
	// Output: Bearer token for anna@example.com
}

// One process, many sign-ins, no goroutine for any of them: a Poll is kept with
// each, and whoever finds it due sends one request.
func ExamplePoll() {
	received := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	ack := ciba.Acknowledgement{AuthReqID: "1c266114", ExpiresIn: 2 * time.Minute, Interval: 5 * time.Second}
	poll := ciba.NewPoll(ack, received)

	for _, answer := range []error{
		&ciba.Error{Endpoint: "token", Status: 400, Code: ciba.CodeAuthorizationPending},
		&ciba.Error{Endpoint: "token", Status: 400, Code: ciba.CodeSlowDown},
		&ciba.Error{Endpoint: "token", Status: 503, RetryAfter: 30 * time.Second},
		nil, // tokens
	} {
		sent := poll.Due                       // when RequestToken was called
		answered := sent.Add(time.Millisecond) // when it returned
		next, outcome := poll.After(sent, answered, answer)
		fmt.Println("sent at", sent.Sub(received), "->", outcome)
		poll = next
	}
	// Output:
	// sent at 5s -> pending
	// sent at 10s -> pending
	// sent at 20s -> pending
	// sent at 50.001s -> granted
}

// What the provider does that no metadata tells is in its profile: here, what a
// login hint looks like and which names it has for what went wrong.
func ExampleConfig_profile() {
	auth0, err := profile.Named("auth0")
	if err != nil {
		fmt.Println(err)
		return
	}
	op := &cibatest.Provider{Like: auth0, OnRequest: func(r cibatest.Request) { fmt.Println("it is sent", r.Hint) }}
	client, err := ciba.New(ciba.Config{
		Issuer:     op.IssuerURL(),
		ClientID:   cibatest.ClientID,
		Auth:       ciba.ClientSecretPost(cibatest.ClientSecret),
		Profile:    auth0,
		HTTPClient: op.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	req := ciba.AuthenticationRequest{Scope: []string{"openid"}, LoginHint: "auth0|5f7c"}
	_, err = client.RequestAuthentication(context.Background(), req)
	fmt.Println(err)
	req.BindingMessage = client.Profile().Binding.New()
	_, err = client.RequestAuthentication(context.Background(), req)
	fmt.Println(err)
	// Output:
	// ciba: BindingMessage: is missing at Auth0
	// it is sent {"format":"iss_sub","iss":"https://op.test/","sub":"auth0|5f7c"}
	// <nil>
}

// Errors are told apart by class, and details are there for those who want them.
func ExampleError() {
	op := &cibatest.Provider{Backchannel: cibatest.Always(cibatest.OAuthError(400, "unknown_user_id"))}
	client, err := ciba.New(ciba.Config{
		Issuer:     op.IssuerURL(),
		ClientID:   cibatest.ClientID,
		Auth:       ciba.ClientSecretPost(cibatest.ClientSecret),
		HTTPClient: op.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.RequestAuthentication(context.Background(), ciba.AuthenticationRequest{
		Scope:     []string{"openid"},
		LoginHint: "nobody@example.com",
	})
	fmt.Println(errors.Is(err, ciba.ErrUnknownUser))
	var e *ciba.Error
	if errors.As(err, &e) {
		fmt.Println(e.Status, e.Code)
	}
	// Output:
	// true
	// 400 unknown_user_id
}

// Any crypto.Signer will do: a key in memory, in a TPM or behind PKCS #11.
func ExamplePrivateKeyJWT() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	auth, err := ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: key, KeyID: "2026-11"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(auth.Method())
	// Output: private_key_jwt
}

// Tokens are renewed without the person, and given up when they leave.
func ExampleClient_Refresh() {
	op := &cibatest.Provider{Interval: time.Second, AutoApprove: time.Millisecond, RefreshTokens: true, RotateRefreshTokens: true}
	client, err := ciba.New(ciba.Config{
		Issuer:     op.IssuerURL(),
		ClientID:   cibatest.ClientID,
		Auth:       ciba.ClientSecretBasic(cibatest.ClientSecret),
		HTTPClient: op.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	ack, err := client.RequestAuthentication(ctx, ciba.AuthenticationRequest{Scope: []string{"openid", "offline_access"}, LoginHint: "anna"})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := client.Wait(ctx, ack, ciba.Expect{Subject: "anna"})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err = client.Refresh(ctx, ciba.RefreshRequest{
		RefreshToken: tokens.RefreshToken, // from now on the one in the result
		Expect:       ciba.Expect{Subject: tokens.IDToken.Subject},
	})
	switch {
	case errors.Is(err, ciba.ErrInterrupted), errors.Is(err, ciba.ErrInvalidGrant):
		fmt.Println("sign in anew")
		return
	case err != nil:
		fmt.Println(err)
		return
	}
	fmt.Println("fresh tokens for", tokens.IDToken.Subject)
	fmt.Println(client.Revoke(ctx, tokens.RefreshToken, ciba.HintRefreshToken))
	// Output:
	// fresh tokens for anna
	// <nil>
}

// The certificate is asked for anew before each request, so its successor can
// take over at any time.
func ExampleTLSClientAuth() {
	var current atomic.Pointer[tls.Certificate] // somebody keeps it fresh
	_, err := ciba.New(ciba.Config{
		Issuer:      "https://op.example.com",
		ClientID:    "till-7",
		Auth:        ciba.TLSClientAuth(),
		Certificate: func() (*tls.Certificate, error) { return current.Load(), nil },
	})
	fmt.Println(err)
	// Output: <nil>
}

// A provider without discovery is described by hand.
func ExampleMetadata() {
	_, err := ciba.New(ciba.Config{
		Metadata: &ciba.Metadata{
			Issuer:                            "https://op.example.com",
			TokenEndpoint:                     "https://op.example.com/token",
			BackchannelAuthenticationEndpoint: "http://op.example.com/bc-authorize",
			JWKSURI:                           "https://op.example.com/keys",
		},
		ClientID: "till-7",
		Auth:     ciba.ClientSecretBasic("secret"),
	})
	fmt.Println(err)
	// Output: ciba: Metadata: member "backchannel_authentication_endpoint" has scheme "http"; https is required
}
