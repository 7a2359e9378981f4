package ciba_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
	"testing/synctest"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"
)

func TestInteropGoOIDCSignedRequest(t *testing.T) {
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for _, alg := range []string{"PS256", "ES256"} {
		t.Run(alg, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newForeignProvider(t, func(f *foreign) {
					f.cibaOpt = append(f.cibaOpt, provider.WithCIBAJAR([]goidc.SignatureAlgorithm{goidc.SigAlgPS256, goidc.SigAlgES256}, provider.WithCIBAJARRequired()))
					f.options = append(f.options, provider.WithRAR([]goidc.AuthDetailType{"vehicle"}),
						provider.WithResourceIndicators([]goidc.ResourceIndicator{"https://cars.example.com", "https://seats.example.com"}))
					f.client = func(c *goidc.Client) {
						c.AuthDetailTypes = []goidc.AuthDetailType{"vehicle"}
						if c.ID == "jwt" {
							c.JWKS.Keys = append(c.JWKS.Keys, goidc.JSONWebKey{Key: p256.Public(), KeyID: "k2", Algorithm: "ES256", Use: "sig"})
						}
					}
				})
				key := ciba.PrivateKey{Signer: opaqueKey{p.clientKey}, KeyID: "k1"}
				how := &ciba.RequestSigning{Key: key}
				if alg == "ES256" {
					how.Key = ciba.PrivateKey{Signer: opaqueKey{p256}, KeyID: "k2"}
				}
				auth := must(ciba.PrivateKeyJWT(key))
				client := p.client(t, "jwt", auth, func(cfg *ciba.Config) { cfg.RequestSigning = how })
				req := foreignRequest()
				req.AuthorizationDetails = raw(`{"type":"vehicle","actions":["seat"]}`)
				req.Resource = []string{"https://cars.example.com", "https://seats.example.com"}
				ack := ring(t, client, req)
				p.approve(t)
				tokens, err := client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, Expect: ciba.Expect{Subject: "anna-7"}})
				if err != nil {
					t.Fatal(err)
				}
				details, err := ciba.ParseAuthorizationDetails(tokens.AuthorizationDetails)
				if err != nil || len(details) != 1 || details[0].Type != "vehicle" {
					t.Errorf("granted %v, %v", details, err)
				}
				_, err = p.client(t, "jwt", auth).RequestAuthentication(t.Context(), foreignRequest())
				wantClasses(t, err, ciba.ErrInvalidRequest) // it demands a signature

				req.Resource = []string{"https://moon.example.com"}
				_, err = client.RequestAuthentication(t.Context(), req)
				wantClasses(t, err, ciba.ErrInvalidRequest)
			})
		})
	}
}
