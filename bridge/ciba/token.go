package ciba

import (
	"encoding/json"
	"time"
)

// A TokenRequest asks whether a person has decided (CIBA Core section 10.1).
type TokenRequest struct {
	// AuthReqID is Acknowledgement.AuthReqID.
	AuthReqID string
	// Expect is what the ID token must say. RequestToken adds the AuthReqID and
	// the tokens of the answer.
	Expect Expect
	// DPoPProof is sent as the DPoP header (RFC 9449); "" for none.
	DPoPProof string
}

// Tokens are the provider's answer once the person has agreed. The ID token is
// verified, the others are opaque. Printing the value shows none of them.
type Tokens struct {
	// AccessToken is never empty.
	AccessToken string
	// TokenType is "Bearer" or "DPoP", however the provider spells it; other
	// types are refused.
	TokenType string
	// ExpiresIn is the life of the access token from the moment of the answer; 0
	// if the provider does not say.
	ExpiresIn time.Duration
	// RefreshToken is "" if there is none.
	RefreshToken string
	// Scope is what was granted; nil if the provider does not say, which means
	// the scope that was requested (RFC 6749 section 5.1).
	Scope []string
	// AuthorizationDetails is the JSON array that was granted (RFC 9396); nil if
	// there is none.
	AuthorizationDetails json.RawMessage
	// IDToken says who agreed.
	IDToken *IDToken
	// DPoPNonce is the nonce for the next DPoP proof; "" if there is none.
	DPoPNonce string
}

// An IDToken is a verified ID token. Printing it shows none of it.
type IDToken struct {
	// Raw is the compact JWS as it was received, for later proof.
	Raw string
	// Issuer, Subject and Audience are iss, sub and aud.
	Issuer   string
	Subject  string
	Audience []string
	// AuthorizedParty is azp; "" if absent.
	AuthorizedParty string
	// Expiry and IssuedAt are exp and iat.
	Expiry, IssuedAt time.Time
	// AuthTime is auth_time; zero if absent.
	AuthTime time.Time
	// ACR and AMR are acr and amr; empty if absent.
	ACR string
	AMR []string
	// KeyID and Algorithm are kid and alg of the signature.
	KeyID, Algorithm string
	// Claims are all claims, as one JSON object.
	Claims json.RawMessage
}

// Expect is what a caller demands of an ID token beyond what every ID token of
// this client must fulfil. The zero value demands nothing more.
type Expect struct {
	// Subject is the person: sub must equal it. "" accepts anybody that the
	// provider authenticated, which a hint does not restrict.
	Subject string
	// ACRValues are the acceptable values of acr; empty accepts any and none.
	ACRValues []string
	// RequestedAt is when the authentication was requested: auth_time, if
	// present, must not be earlier. Zero does not look at auth_time.
	RequestedAt time.Time
	// RequireAuthTime refuses a token without auth_time.
	RequireAuthTime bool
	// AuthReqID, if set, must equal the auth_req_id claim where there is one.
	AuthReqID string
	// AccessToken and RefreshToken, if set, must match at_hash and rt_hash where
	// these are present.
	AccessToken  string
	RefreshToken string
	// Push demands at_hash, the auth_req_id claim and, with a refresh token,
	// rt_hash, as push delivery does (CIBA Core section 10.3.1).
	Push bool
}
