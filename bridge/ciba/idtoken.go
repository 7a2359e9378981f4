package ciba

import (
	"encoding/json"
	"time"
)

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

// claimHashes are the claims that tie an ID token to its answer.
type claimHashes struct {
	atHash, rtHash, authReqID string
	notBefore                 time.Time
}

// parseClaims reads the claims and refuses those of a wrong type.
func parseClaims(payload []byte) (*IDToken, *claimHashes, error) {
	o, err := parseObject(payload)
	if err != nil {
		return nil, nil, refuse(CheckForm, "claims are not one JSON object with unique members")
	}
	r := claimReader{object: o}
	t := &IDToken{
		Issuer:          r.text(CheckIssuer),
		Subject:         r.text(CheckSubject),
		Audience:        r.audience(),
		AuthorizedParty: r.text(CheckParty),
		Expiry:          r.date(CheckExpiry),
		IssuedAt:        r.date(CheckIssuedAt),
		AuthTime:        r.date(CheckAuthTime),
		ACR:             r.text(CheckACR),
		AMR:             r.strings("amr"),
		Claims:          json.RawMessage(payload),
	}
	h := &claimHashes{
		notBefore: r.date(CheckNotBefore),
		atHash:    r.text(CheckAtHash),
		rtHash:    r.text(CheckRtHash),
		authReqID: r.text(CheckAuthReqID),
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	return t, h, nil
}

// A claimReader reads many claims and keeps the first error.
type claimReader struct {
	object
	err error
}

func (r *claimReader) text(c Check) string {
	s, err := r.object.text(string(c), maxToken)
	if err != nil {
		r.keep(refuse(c, "is not a string"))
	}
	return s
}

func (r *claimReader) date(c Check) time.Time {
	t, _, err := r.object.date(string(c))
	if err != nil {
		r.keep(refuse(c, "%v", err))
	}
	return t
}

func (r *claimReader) strings(c Check) []string {
	list, err := r.object.strings(string(c))
	if err != nil {
		r.keep(refuse(c, "is not an array of strings"))
	}
	return list
}

// audience reads aud, which is a string or an array of strings.
func (r *claimReader) audience() []string {
	if raw := r.object[string(CheckAudience)]; len(raw) > 0 && raw[0] == '"' {
		return []string{r.text(CheckAudience)}
	}
	return r.strings(CheckAudience)
}

func (r *claimReader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}
