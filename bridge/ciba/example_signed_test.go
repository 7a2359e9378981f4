package ciba_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/go-jose/go-jose/v4"
)

// What the person is asked to approve can be said in detail, and signed so that
// nobody on the way can change it.
func ExampleRequestSigning() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	op := &cibatest.Provider{
		Interval: time.Second, AutoApprove: time.Millisecond,
		RequestAlgs: []string{"ES256"}, RequireSignedRequest: true,
		ClientKeys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "2026-11"}},
		Like:       profile.Profile{Parameters: profile.Parameters{Details: profile.Yes}},
		OnRequest: func(r cibatest.Request) {
			fmt.Println("the phone shows", r.BindingMessage, r.Params.Get("authorization_details"))
		},
	}
	client, err := ciba.New(ciba.Config{
		Issuer:         op.IssuerURL(),
		ClientID:       cibatest.ClientID,
		Auth:           ciba.ClientSecretBasic(cibatest.ClientSecret),
		RequestSigning: &ciba.RequestSigning{Key: ciba.PrivateKey{Signer: key, KeyID: "2026-11"}},
		HTTPClient:     op.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	ack, err := client.RequestAuthentication(ctx, ciba.AuthenticationRequest{
		Scope:          []string{"openid"},
		LoginHint:      "anna@example.com",
		BindingMessage: "4K7-P2X",
		AuthorizationDetails: []json.RawMessage{
			json.RawMessage(`{"type":"vehicle","actions":["seat","climate"]}`),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := client.Wait(ctx, ack, ciba.Expect{Subject: "anna@example.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	granted, err := ciba.ParseAuthorizationDetails(tokens.AuthorizationDetails)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, detail := range granted {
		fmt.Println("granted", detail.Type)
	}
	// Output:
	// the phone shows 4K7-P2X [{"type":"vehicle","actions":["seat","climate"]}]
	// granted vehicle
}
