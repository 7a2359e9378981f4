package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

// discover reads the metadata, and reports whether there is any.
func (in *inspection) discover(ctx context.Context) bool {
	m, err := in.cfg.Client.Metadata(ctx)
	if err != nil {
		advice := "set issuer exactly as the provider's own metadata says it, with or without a slash at the end"
		if strings.Contains(err.Error(), "has no CIBA") {
			advice = in.console(topicCIBA)
		} else if errors.Is(err, ciba.ErrUnavailable) {
			advice = "try again when the provider answers"
		}
		in.add(Discovery, Failed, words(err), advice)
		return false
	}
	in.metadata = m
	in.ok(Discovery, "the metadata is complete, and of this issuer")
	return true
}

func (in *inspection) keys(ctx context.Context) {
	algs, err := in.cfg.Client.KeyAlgs(ctx)
	switch {
	case err != nil:
		in.add(Keys, Failed, words(err), "nothing is rung while the keys cannot be fetched: look at jwks_uri in the provider's metadata")
	case len(algs) == 0:
		in.add(Keys, Failed, fmt.Sprintf("none of the provider's keys makes signatures with %s", list(in.about.IDTokenAlgs)), in.console(topicIDTokenAlg))
	default:
		in.ok(Keys, "the provider has keys for "+list(algs))
	}
}

// algorithms holds what the client accepts and makes against what the provider
// makes and accepts.
func (in *inspection) algorithms() {
	m := in.metadata
	made := m.IDTokenSigningAlgs
	common := slices.DeleteFunc(slices.Clone(made), func(a string) bool { return !slices.Contains(in.about.IDTokenAlgs, a) })
	switch {
	case len(made) > 0 && len(common) == 0:
		in.add(Algorithms, Failed, fmt.Sprintf("ID tokens are signed with %s, and %s is accepted", list(made), list(in.about.IDTokenAlgs)), in.console(topicIDTokenAlg))
	case slices.Contains(made, "HS256"):
		in.add(Algorithms, Warning, "the provider can sign ID tokens with the client's secret (HS256), which is not accepted", in.console(topicIDTokenAlg))
	case len(made) == 0:
		in.ok(Algorithms, "the provider does not say with what it signs ID tokens")
	default:
		in.ok(Algorithms, "ID tokens may be signed with "+list(common))
	}
	if alg := in.about.RequestAlg; alg != "" && !slices.Contains(m.BackchannelRequestSigningAlgs, alg) {
		in.add(Algorithms, Failed, fmt.Sprintf("authentication requests are signed with %s, and the provider reads %s", alg, list(m.BackchannelRequestSigningAlgs)), in.console(topicSigned))
	}
}

func (in *inspection) delivery() {
	mode, modes := string(in.about.Delivery), in.metadata.BackchannelTokenDeliveryModes
	if !slices.Contains(modes, mode) {
		in.add(Delivery, Failed, fmt.Sprintf("the mode is %s, and the provider has %s", mode, list(modes)), "set delivery to a mode that it has, and register the client for the same")
		return
	}
	in.ok(Delivery, fmt.Sprintf("the provider has %s", list(modes)))
}

// authentication looks for the client's method in the metadata, where RFC 8414
// section 2 has client_secret_basic if nothing is said.
func (in *inspection) authentication() {
	m, method := in.metadata, in.about.AuthMethod
	methods := m.TokenEndpointAuthMethods
	if methods == nil {
		methods = []string{"client_secret_basic"}
	}
	switch {
	case !slices.Contains(methods, method):
		in.add(Authentication, Warning, fmt.Sprintf("the client uses %s, and the provider names %s", method, list(methods)), in.console(topicClientAuth))
	case in.about.MutualTLS && m.MTLSEndpointAliases == nil:
		in.add(Authentication, Warning, "the client has a certificate, and the provider names no endpoints for that (mtls_endpoint_aliases)", "make sure that the endpoints ask for a certificate")
	default:
		in.ok(Authentication, "the provider knows "+method)
	}
}

func (in *inspection) scope() {
	known := in.metadata.Scopes
	missing := slices.DeleteFunc(slices.Clone(in.cfg.Request.Scope), func(s string) bool { return slices.Contains(known, s) })
	switch {
	case known == nil:
		in.ok(Scope, "the provider does not say which scopes it has")
	case len(missing) > 0:
		in.add(Scope, Warning, fmt.Sprintf("the provider does not name %s", list(missing)), in.console(topicScope))
	default:
		in.ok(Scope, "the provider has every scope that devices may ask for")
	}
}

// words returns an error as a sentence without the package that it is from.
func words(err error) string { return strings.TrimPrefix(err.Error(), "ciba: ") }

func list(of []string) string {
	if len(of) == 0 {
		return "none"
	}
	return strings.Join(of, ", ")
}
