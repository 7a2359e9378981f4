package cibatest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

func (p *Provider) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	base := strings.TrimSuffix(p.IssuerURL(), "/")
	m := map[string]any{
		"issuer":                              p.IssuerURL(),
		"token_endpoint":                      base + "/token",
		"backchannel_authentication_endpoint": base + "/bc-authorize",
		"jwks_uri":                            base + "/jwks",
		"revocation_endpoint":                 base + "/revoke",
		"backchannel_token_delivery_modes_supported": p.deliveryModes(),
		"grant_types_supported":                      []string{"urn:openid:params:grant-type:ciba", "refresh_token"},
		"id_token_signing_alg_values_supported":      []string{p.algorithm()},
		"token_endpoint_auth_methods_supported":      p.authMethods(),
	}
	if p.Like.Parameters.UserCode == profile.Yes {
		m["backchannel_user_code_parameter_supported"] = true
	}
	if p.RequestAlgs != nil {
		m["backchannel_authentication_request_signing_alg_values_supported"] = p.RequestAlgs
	}
	if p.MTLSBase != "" {
		m["mtls_endpoint_aliases"] = map[string]any{
			"token_endpoint":                      p.MTLSBase + "/token",
			"backchannel_authentication_endpoint": p.MTLSBase + "/bc-authorize",
			"revocation_endpoint":                 p.MTLSBase + "/revoke",
		}
	}
	edit(p.EditMetadata, m)
	reply(w, http.StatusOK, m)
}

// deliveryModes are those that the provider has: those of Like, and otherwise the
// client's alone.
func (p *Provider) deliveryModes() []string {
	if p.Like.Client.Delivery != nil {
		return p.Like.Client.Delivery
	}
	return []string{orElse(p.Delivery, profile.Poll)}
}

// authMethods are those of client authentication that the provider has.
func (p *Provider) authMethods() []string {
	all := []string{profile.ClientSecretBasic, profile.ClientSecretPost, profile.PrivateKeyJWT}
	if p.ClientCertificate != nil {
		all = []string{profile.TLSClientAuth, profile.SelfSignedTLSClientAuth}
	}
	return slices.DeleteFunc(all, func(method string) bool { return !allows(p.Like.Client.Auth, method) })
}
