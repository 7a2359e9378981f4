package ciba

import (
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// A Tolerance names a defect of a provider that a client puts up with.
type Tolerance string

// ToleratePushWithoutAtHash accepts pushed ID tokens without at_hash, which CIBA
// Core section 10.3.1 demands. Without it nothing ties the access token to the
// ID token but the connection that both came over. An at_hash that is there and
// wrong is still refused.
const ToleratePushWithoutAtHash Tolerance = "push without at_hash"

var tolerances = []Tolerance{ToleratePushWithoutAtHash} // read only

func (cfg *Config) validateTolerate() error {
	for _, t := range cfg.Tolerate {
		if !slices.Contains(tolerances, t) {
			return fieldErrorf("Tolerate", "%q is not one of %q", t, tolerances)
		}
	}
	return nil
}

// validateFAPI checks the fields that FAPI-CIBA restricts, but for those that a
// profile does.
func (cfg *Config) validateFAPI() error {
	if !cfg.Profile.FAPI {
		return nil
	}
	if len(cfg.Tolerate) > 0 {
		return fieldErrorf("Tolerate", "is set, but FAPI tolerates nothing")
	}
	for _, alg := range cfg.IDTokenAlgs {
		if !slices.Contains(requestAlgs, jose.SignatureAlgorithm(alg)) {
			return fieldErrorf("IDTokenAlgs", "%q is not one of %q, which FAPI allows", alg, requestAlgs)
		}
	}
	return nil
}

// checkFAPI wants the person to have something to recognise the request by
// (FAPI-CIBA section 5.2.3).
func (r *AuthenticationRequest) checkFAPI() error {
	if r.BindingMessage == "" && len(r.AuthorizationDetails) == 0 {
		return fieldErrorf("BindingMessage", "is missing, but FAPI demands it unless there are AuthorizationDetails")
	}
	return nil
}
