package inspect

// A topic is something that an operator sets at the provider.
type topic int

const (
	topicCIBA       topic = iota // whether the client may use CIBA
	topicClientAuth              // how it proves itself
	topicIDTokenAlg
	topicSigned
	topicScope
	topicPerson // whether a person can be rung
	topics      // how many there are
)

// console says where the provider's console has a topic, or what to look for
// where the console is not known.
func (in *inspection) console(t topic) string {
	if words := consoles()[in.row.Name][t]; words != "" {
		return words
	}
	return consoles()["generic"][t]
}

// consoles are the words for each provider's console, by the name of its profile.
// docs/providers.md has the whole way through each.
func consoles() map[string][topics]string {
	return map[string][topics]string{
		"generic": {
			topicCIBA:       "allow the client the grant type urn:openid:params:grant-type:ciba, and register its delivery mode",
			topicClientAuth: "compare the client's id, its secret or key, and the registered token_endpoint_auth_method with the settings",
			topicIDTokenAlg: "register an asymmetric id_token_signed_response_alg for the client, such as ES256 or PS256",
			topicSigned:     "register backchannel_authentication_request_signing_alg and the key for the client, or leave sign-requests out",
			topicScope:      "define the scopes, and allow them to the client",
			topicPerson:     "make sure that the person exists under that name, and has a phone enrolled",
		},
		"auth0": {
			topicCIBA:       "Applications > your application > Settings > Advanced Settings > Grant Types: tick Client Initiated Backchannel Authentication (CIBA). The tenant's plan must include it",
			topicClientAuth: "Applications > your application > Credentials: choose the method that client-auth says; None does not work with CIBA",
			topicIDTokenAlg: "Applications > your application > Settings > Advanced Settings > OAuth > JSON Web Token Signature Algorithm: RS256",
			topicScope:      "Applications > APIs > your API > Permissions: add the scopes; set audience to the API's identifier",
			topicPerson:     "User Management > Users > the person: Multi-Factor must show a device enrolled with Guardian. A login hint is the user_id, such as auth0|5f7c8e…",
		},
		"keycloak": {
			topicCIBA:       "Clients > your client > Settings > Capability config: Client authentication on, OIDC CIBA Grant ticked",
			topicClientAuth: "Clients > your client > Credentials: choose the Client Authenticator that client-auth says",
			topicIDTokenAlg: "Clients > your client > Advanced > Fine grain OpenID Connect configuration: ID token signature algorithm",
			topicSigned:     "Clients > your client > Advanced > Fine grain OpenID Connect configuration: CIBA Backchannel Authentication Request Signature Algorithm",
			topicScope:      "Client scopes: create them; Clients > your client > Client scopes: add them as Optional",
			topicPerson:     "Users: the person must exist and be enabled; the server needs an authentication channel (ciba-http-auth-channel) that rings the phone",
		},
		"okta": {
			topicCIBA:       "Applications > your Web application > General > Grant type: tick Client-initiated backchannel authentication and choose the custom authenticator; Security > API > your server > Access Policies: allow the grant type in a rule",
			topicClientAuth: "Applications > your application > General > Client Credentials: choose the method that client-auth says",
			topicScope:      "Security > API > your server > Scopes: add them, and allow them in the access policy's rule",
			topicPerson:     "the person needs the custom authenticator enrolled in your own app, built with the Devices SDK; Okta Verify alone does not do",
		},
		"pingone": {
			topicCIBA:       "Applications > your application > Configuration > Grant Type: CIBA; Policies: a DaVinci flow that rings the phone",
			topicClientAuth: "Applications > your application > Configuration > Token Endpoint Authentication Method: as client-auth says; there is no mutual TLS",
			topicScope:      "Applications > Resources > your resource > Scopes: add them; Applications > your application > Resources: allow them",
			topicPerson:     "Directory > Users > the person: a mobile device must be paired for MFA",
		},
		"pingfederate": {
			topicCIBA:       "Applications > OAuth > Clients > your client: Allowed Grant Types: CIBA, with a CIBA Request Policy",
			topicClientAuth: "Applications > OAuth > Clients > your client: Client Authentication as client-auth says",
			topicIDTokenAlg: "Applications > OAuth > Clients > your client > OpenID Connect: ID Token Signing Algorithm",
			topicSigned:     "Applications > OAuth > Clients > your client: CIBA Request Object Signing Algorithm",
			topicScope:      "System > OAuth Settings > Scope Management: add them; allow them to the client",
			topicPerson:     "the CIBA Request Policy's identity hint contract must find the person, and its authenticator a phone",
		},
		"node-oidc-provider": {
			topicCIBA:       "features.ciba.enabled, and the grant type urn:openid:params:grant-type:ciba in the client's grant_types",
			topicClientAuth: "the client's token_endpoint_auth_method, and clientAuthMethods of the provider",
			topicIDTokenAlg: "the client's id_token_signed_response_alg, and a key for it in jwks",
			topicScope:      "scopes, or a resource server's scope with features.resourceIndicators, and the client's scope",
			topicPerson:     "features.ciba.processLoginHint must return the account, and triggerAuthenticationDevice ring it",
		},
	}
}
