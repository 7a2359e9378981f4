package ciba_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// With ping delivery the provider says when the person has decided. What is
// kept of a sign-in, here a map and a Poll, would be a row in a database.
func ExampleNotificationHandler() {
	op := &cibatest.Provider{Delivery: "ping"}
	client, err := ciba.New(ciba.Config{
		Issuer:     op.IssuerURL(),
		ClientID:   cibatest.ClientID,
		Auth:       ciba.ClientSecretBasic(cibatest.ClientSecret),
		Delivery:   ciba.DeliveryPing,
		HTTPClient: op.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := ciba.NewNotificationTokens([]byte("32 random bytes that replicas share"))
	if err != nil {
		fmt.Println(err)
		return
	}
	rows := map[string]ciba.SignIn{}
	var poll ciba.Poll
	handler, err := ciba.NewNotificationHandler(ciba.NotificationConfig{
		Client: client,
		Tokens: tokens,
		SignIn: func(_ context.Context, id string) (ciba.SignIn, error) {
			if row, ok := rows[id]; ok {
				return row, nil
			}
			return ciba.SignIn{}, ciba.ErrUnknownSignIn
		},
		Pinged: func(_ context.Context, id string) error {
			fmt.Println(id, "was decided")
			poll = poll.AfterPing(time.Now())
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	op.Endpoint = handler // or http.Handle("/ciba/notify", handler)

	token, err := tokens.Mint("sign-in-7")
	if err != nil {
		fmt.Println(err)
		return
	}
	ack, err := client.RequestAuthentication(context.Background(), ciba.AuthenticationRequest{
		Scope:             []string{"openid"},
		LoginHint:         "anna@example.com",
		NotificationToken: token,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	rows["sign-in-7"] = ciba.SignIn{AuthReqID: ack.AuthReqID}
	poll = ciba.NewPingPoll(ack, time.Now())

	op.Approve(ack.AuthReqID) // the person agrees, the provider pings
	if !time.Now().Before(poll.Due) {
		granted, err := client.RequestToken(context.Background(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("tokens for", granted.IDToken.Subject)
	}
	// Output:
	// sign-in-7 was decided
	// tokens for anna@example.com
}

// With push delivery the provider brings the tokens, and they are verified
// before anybody gets to see them.
func ExampleNotificationHandler_push() {
	op := &cibatest.Provider{Delivery: "push"}
	client, err := ciba.New(ciba.Config{
		Issuer:     op.IssuerURL(),
		ClientID:   cibatest.ClientID,
		Auth:       ciba.ClientSecretBasic(cibatest.ClientSecret),
		Delivery:   ciba.DeliveryPush,
		HTTPClient: op.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := ciba.NewNotificationTokens([]byte("32 random bytes that replicas share"))
	if err != nil {
		fmt.Println(err)
		return
	}
	rows := map[string]ciba.SignIn{}
	op.Endpoint, err = ciba.NewNotificationHandler(ciba.NotificationConfig{
		Client: client,
		Tokens: tokens,
		SignIn: func(_ context.Context, id string) (ciba.SignIn, error) {
			if row, ok := rows[id]; ok {
				return row, nil
			}
			return ciba.SignIn{}, ciba.ErrUnknownSignIn
		},
		Pushed: func(_ context.Context, id string, granted *ciba.Tokens, err error) error {
			if errors.Is(err, ciba.ErrDenied) {
				fmt.Println(id, "was denied")
				return nil
			}
			if err != nil {
				fmt.Println(id, "failed:", err)
				return nil
			}
			fmt.Println(id, "has tokens for", granted.IDToken.Subject)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []string{"sign-in-7", "sign-in-8"} {
		token, err := tokens.Mint(id)
		if err != nil {
			fmt.Println(err)
			return
		}
		requested := time.Now()
		ack, err := client.RequestAuthentication(context.Background(), ciba.AuthenticationRequest{
			Scope:             []string{"openid"},
			LoginHint:         "anna@example.com",
			NotificationToken: token,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		rows[id] = ciba.SignIn{
			AuthReqID: ack.AuthReqID,
			Expect:    ciba.Expect{Subject: "anna@example.com", RequestedAt: requested},
		}
	}
	op.Approve(rows["sign-in-7"].AuthReqID)
	op.Deny(rows["sign-in-8"].AuthReqID)
	// Output:
	// sign-in-7 has tokens for anna@example.com
	// sign-in-8 was denied
}
