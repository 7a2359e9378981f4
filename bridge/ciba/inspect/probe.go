package inspect

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// probeToken asks for the tokens of a request that nobody made. A provider that
// knows the client says so; one that does not, says that first.
func (in *inspection) probeToken(ctx context.Context) {
	switch {
	case in.bad(Keys):
		in.add(Client, Skipped, "nothing is asked without the provider's keys", "")
		return
	case in.about.Delivery == ciba.DeliveryPush:
		in.add(Client, Skipped, "a client in push mode must not ask for tokens", "")
		return
	}
	_, err := in.cfg.Client.RequestToken(ctx, ciba.TokenRequest{AuthReqID: "made-up-" + rand.Text()})
	if failed := in.refusedClient(Client, err); failed {
		return
	}
	in.ok(Client, "the provider knows the client, and lets it use CIBA")
}

// probeRequest asks for a person who does not exist. Everything else in the
// request is as it will be, so whatever else is wrong with it shows.
func (in *inspection) probeRequest(ctx context.Context) {
	switch kinds := in.row.Hints.Kinds; {
	case in.bad(Keys) || in.bad(Client):
		in.add(Request, Skipped, "nobody is rung while the client is refused", "")
		return
	case kinds != nil && !slices.Contains(kinds, profile.LoginHint):
		in.add(Request, Skipped, fmt.Sprintf("the provider takes no login_hint, but %s", list(kinds)), "")
		return
	}
	req, err := in.request("made-up-" + rand.Text() + "@example.invalid")
	if err == nil {
		_, err = in.cfg.Client.RequestAuthentication(ctx, req)
	}
	switch {
	case err == nil:
		in.add(Request, Warning, "the request was taken, for a person who does not exist", "if that is meant to hide who has an account, all is well; sign-ins of people who are not known expire")
	case errors.Is(err, ciba.ErrUnknownUser):
		in.ok(Request, "the request was understood: the person was made up, and the provider says so")
	case in.refusedClient(Request, err):
	default:
		in.add(Request, Failed, words(err), in.requestAdvice(err))
	}
}

// request is an authentication request as sign-ins make it.
func (in *inspection) request(hint string) (ciba.AuthenticationRequest, error) {
	req := in.cfg.Request
	req.LoginHint, req.BindingMessage = hint, in.row.Binding.New()
	if in.cfg.NotificationToken == nil {
		return req, nil
	}
	var err error
	req.NotificationToken, err = in.cfg.NotificationToken()
	return req, err
}

// refusedClient reports, and adds as a finding, that err says nothing about the
// request but that it was not looked at.
func (in *inspection) refusedClient(c Check, err error) bool {
	var answer *ciba.Error
	errors.As(err, &answer)
	switch {
	case errors.Is(err, ciba.ErrUnavailable):
		in.add(c, Failed, words(err), "try again when the provider answers")
	case answer != nil && (answer.Code == ciba.CodeUnauthorizedClient || answer.Code == ciba.CodeUnsupportedGrantType):
		in.add(c, Failed, "the provider knows the client, and does not let it use CIBA: "+words(err), in.console(topicCIBA))
	case errors.Is(err, ciba.ErrInvalidClient):
		in.add(c, Failed, "the provider does not accept the client: "+words(err), in.console(topicClientAuth))
	case errors.Is(err, ciba.ErrProtocol) && c == Client:
		in.add(c, Failed, words(err), "what answered is no token endpoint: look at the provider's metadata and at proxies")
	default:
		return false
	}
	return true
}

// requestAdvice is what to do about a request that was refused.
func (in *inspection) requestAdvice(err error) string {
	var answer *ciba.Error
	var field *ciba.FieldError
	errors.As(err, &answer)
	switch {
	case errors.As(err, &field):
		return "the request was not sent, as the provider could not take it: look at the settings of the client and at provider-profile"
	case errors.Is(err, ciba.ErrInvalidBindingMessage):
		return "binding messages are made as provider-profile says: choose that of the provider, or have it accept letters, digits and a hyphen"
	case errors.Is(err, ciba.ErrUserCode):
		return "have the provider not demand a user code: devices cannot ask for one"
	case errors.Is(err, ciba.ErrDenied):
		return "a policy of the provider refuses the request before anybody is asked: look for it in the provider's log"
	case answer != nil && answer.Code == ciba.CodeInvalidScope:
		return in.console(topicScope)
	case errors.Is(err, ciba.ErrInvalidRequest) && in.about.RequestAlg == "":
		return "look in the provider's log for what it misses; some demand signed requests (sign-requests), or have people who are not known refused in these words (provider-profile)"
	default:
		return "look in the provider's log for what it misses"
	}
}
