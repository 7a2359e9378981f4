package ciba_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"
)

func TestInteropGoOIDCRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newForeignProvider(t, func(f *foreign) {
			f.options = append(f.options,
				provider.WithRefreshTokenGrant(nil, provider.WithRefreshTokenRotation()),
				provider.WithTokenRevocation(func(context.Context, *goidc.Client) bool { return true }))
		})
		client := p.client(t, "basic", ciba.ClientSecretBasic("s3cret-basic"))
		ack := ring(t, client, foreignRequest())
		p.approve(t)
		tokens, err := client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
		if err != nil {
			t.Fatal(err)
		}
		first := tokens.RefreshToken
		for range 2 {
			before := tokens.RefreshToken
			if tokens, err = client.Refresh(t.Context(), ciba.RefreshRequest{RefreshToken: before, Expect: ciba.Expect{Subject: "anna-7"}}); err != nil {
				t.Fatal(err)
			}
			if tokens.RefreshToken == before {
				t.Error("the refresh token was not rotated")
			}
		}
		_, err = client.Refresh(t.Context(), ciba.RefreshRequest{RefreshToken: first})
		wantClasses(t, err, ciba.ErrInvalidGrant)
		if err := client.Revoke(t.Context(), tokens.RefreshToken, ciba.HintRefreshToken); err != nil {
			t.Error(err)
		}
		_, err = client.Refresh(t.Context(), ciba.RefreshRequest{RefreshToken: tokens.RefreshToken})
		wantClasses(t, err, ciba.ErrInvalidGrant)
	})
}
