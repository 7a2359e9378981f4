package cmd

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// askSettings say what authentication requests ask for besides what devices ask
// for.
type askSettings struct {
	resource, audience, acr string
	authorizationDetails    string
	requestContext          bool
}

func (s *askSettings) define(fs *flag.FlagSet) {
	fs.StringVar(&s.resource, "resource", "", "`URIs` of the services that tokens are for, with blanks between them (RFC 8707)")
	fs.StringVar(&s.audience, "audience", "", "the service that tokens are for, as Auth0 calls it")
	fs.StringVar(&s.authorizationDetails, "authorization-details", "", "JSON `file` with what sign-ins ask for in detail (RFC 9396), see docs/bridge.md")
	fs.StringVar(&s.acr, "acr-values", "", "authentication context classes to ask for and demand where the device names none, with blanks between them")
	fs.BoolVar(&s.requestContext, "request-context", false, "tell the provider which kind of device asks and what for (FAPI-CIBA request_context)")
}

// build returns what every authentication request asks for, if a provider with
// that profile can be asked for it.
func (s *askSettings) build(row profile.Profile) (bridge.Asks, error) {
	a := bridge.Asks{
		Resource:  strings.Fields(s.resource),
		Audience:  s.audience,
		ACRValues: strings.Fields(s.acr),
	}
	if s.authorizationDetails != "" {
		text, err := os.ReadFile(s.authorizationDetails)
		if err == nil {
			a.Details, err = bridge.ParseDetailsTemplate(text)
		}
		if err != nil {
			return a, fmt.Errorf("--authorization-details: %w", err)
		}
	}
	return a, flagged(a.Validate(row))
}

// flagged returns the error of a field as one of the flag that fills it.
func flagged(err error) error {
	var field *ciba.FieldError
	if !errors.As(err, &field) {
		return err
	}
	name, ok := map[string]string{
		"Issuer": "issuer", "ClientID": "client-id", "IDTokenAlgs": "id-token-algs",
		"Auth": "client-auth", "Certificate": "client-cert", "RequestSigning": "sign-requests",
		"Delivery": "delivery", "Tolerate": "push-without-at-hash",
		"Resource": "resource", "Audience": "audience", "ACRValues": "acr-values", "AuthorizationDetails": "authorization-details",
	}[field.Field]
	if !ok {
		return usagef("provider: %w", err)
	}
	return usagef("--%s: %w", name, err)
}
