package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

// signIn rings the person that the configuration names, if there is one, and
// waits for them. A client in ping mode may ask as one in poll mode does (CIBA
// Core section 5).
func (in *inspection) signIn(ctx context.Context) {
	switch {
	case in.cfg.Ring == "":
		return
	case in.about.Delivery == ciba.DeliveryPush:
		in.add(SignIn, Skipped, "in push mode the tokens go to the running bridge", "")
		return
	case in.bad(Keys) || in.bad(Client):
		in.add(SignIn, Skipped, "nobody is rung while the client is refused", "")
		return
	}
	start := time.Now()
	req, err := in.request(in.cfg.Ring)
	var ack ciba.Acknowledgement
	if err == nil {
		ack, err = in.cfg.Client.RequestAuthentication(ctx, req)
	}
	if err != nil {
		advice := in.requestAdvice(err)
		if errors.Is(err, ciba.ErrUnknownUser) {
			advice = in.console(topicPerson)
		}
		in.add(SignIn, Failed, words(err), advice)
		return
	}
	in.ok(SignIn, fmt.Sprintf("the phone should ring and show %s; asking for %v, every %v", req.BindingMessage, ack.Lifetime(), ack.Interval))
	tokens, err := in.cfg.Client.Wait(ctx, ack, ciba.Expect{RequestedAt: start})
	if err != nil {
		in.add(SignIn, Failed, words(err), in.console(topicPerson))
		return
	}
	in.ok(SignIn, fmt.Sprintf("approved after %v: %s", time.Since(start).Round(time.Second), granted(tokens)))
	in.judge(tokens)
}

// granted describes tokens without showing any.
func granted(t *ciba.Tokens) string {
	parts := []string{fmt.Sprintf("an access token of %d bytes and type %s", len(t.AccessToken), t.TokenType)}
	if t.ExpiresIn > 0 {
		parts = append(parts, fmt.Sprintf("good for %v", t.ExpiresIn))
	}
	if t.Scope != nil {
		parts = append(parts, "scope "+list(t.Scope))
	}
	if t.RefreshToken != "" {
		parts = append(parts, "a refresh token")
	}
	return strings.Join(parts, ", ")
}

// judge says what a device would miss in tokens that are good.
func (in *inspection) judge(t *ciba.Tokens) {
	if !strings.Contains(string(t.IDToken.Claims), `"name"`) {
		in.add(SignIn, Warning, "the ID token has no name", "devices greet nobody by name unless they ask for the scope profile and the provider puts the name into ID tokens")
	}
	if t.IDToken.AuthTime.IsZero() {
		in.add(SignIn, Warning, "the ID token does not say when the person approved (auth_time)", "an approval from before the request would not be noticed by it")
	}
	if t.ExpiresIn == 0 {
		in.add(SignIn, Warning, "the provider does not say how long the token lives", "devices are told five minutes")
	}
}
