package ciba

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Code is an error code of a provider's answer (RFC 6749 section 5.2, CIBA
// Core sections 11 and 13, RFC 7009, RFC 8707, RFC 9396, RFC 9449). Unknown codes occur.
type Code string

// The codes that this package knows.
const (
	CodeInvalidRequest              Code = "invalid_request"
	CodeInvalidClient               Code = "invalid_client"
	CodeInvalidGrant                Code = "invalid_grant"
	CodeInvalidScope                Code = "invalid_scope"
	CodeUnauthorizedClient          Code = "unauthorized_client"
	CodeUnsupportedGrantType        Code = "unsupported_grant_type"
	CodeAuthorizationPending        Code = "authorization_pending"
	CodeSlowDown                    Code = "slow_down"
	CodeExpiredToken                Code = "expired_token"
	CodeAccessDenied                Code = "access_denied"
	CodeTransactionFailed           Code = "transaction_failed"
	CodeExpiredLoginHintToken       Code = "expired_login_hint_token"
	CodeExpiredIDTokenHint          Code = "expired_id_token_hint"
	CodeInvalidIDTokenHint          Code = "invalid_id_token_hint"
	CodeUnknownUserID               Code = "unknown_user_id"
	CodeMissingUserCode             Code = "missing_user_code"
	CodeInvalidUserCode             Code = "invalid_user_code"
	CodeInvalidBindingMessage       Code = "invalid_binding_message"
	CodeInvalidAuthorizationDetails Code = "invalid_authorization_details"
	CodeInvalidTarget               Code = "invalid_target"
	CodeUseDPoPNonce                Code = "use_dpop_nonce"
	CodeInvalidDPoPProof            Code = "invalid_dpop_proof"
	CodeUnsupportedTokenType        Code = "unsupported_token_type"
	CodeServerError                 Code = "server_error"
	CodeTemporarilyUnavailable      Code = "temporarily_unavailable"
)

// Classes of failure, for [errors.Is].
var (
	// ErrPending: the person has not decided yet.
	ErrPending = errors.New("ciba: authorization pending")
	// ErrSlowDown: asked too often; five more seconds between requests from now
	// on. Such an error is also ErrPending.
	ErrSlowDown = errors.New("ciba: slow down")
	// ErrDenied: the person, or a policy of the provider, said no. Where a provider
	// says the same of a request that nobody decided in time (see Config.Profile), an
	// error of RequestToken is ErrExpired as well; Poll.After and Wait tell which.
	ErrDenied = errors.New("ciba: access denied")
	// ErrTransactionFailed: the provider could not see the authentication through,
	// for a reason that is neither a no nor the time.
	ErrTransactionFailed = errors.New("ciba: transaction failed")
	// ErrExpired: nobody decided in time.
	ErrExpired = errors.New("ciba: authentication request expired")
	// ErrInvalidGrant: the provider does not know the auth_req_id, or it was
	// redeemed before, or it belongs to another client.
	ErrInvalidGrant = errors.New("ciba: invalid grant")
	// ErrUnknownUser: the hint names nobody, or is a token that is no longer good.
	ErrUnknownUser = errors.New("ciba: unknown user")
	// ErrInvalidBindingMessage: the provider does not show this message.
	ErrInvalidBindingMessage = errors.New("ciba: invalid binding message")
	// ErrUserCode: the user code is missing or wrong.
	ErrUserCode = errors.New("ciba: missing or invalid user code")
	// ErrInvalidClient: the client's credentials, or its registration, do not
	// allow this request. A person cannot help; an operator must. One whose
	// certificate the server refuses in the TLS handshake is also ErrUnavailable.
	ErrInvalidClient = errors.New("ciba: client not accepted")
	// ErrInvalidRequest: the provider refuses the request as it is written: its
	// form, scope, target or authorization details.
	ErrInvalidRequest = errors.New("ciba: invalid request")
	// ErrUseDPoPNonce: send the request again with the nonce of the answer.
	ErrUseDPoPNonce = errors.New("ciba: DPoP nonce required")
	// ErrUnavailable: the provider cannot be reached or cannot answer now (429,
	// 5xx, no connection, time-out). The same request may succeed later.
	ErrUnavailable = errors.New("ciba: provider unavailable")
	// ErrInterrupted: the request may have reached the provider, but its answer
	// was lost. A backchannel authentication request that ends so may be ringing
	// a phone and must not be repeated; a token request that ends so may have
	// spent the auth_req_id. Such an error is also ErrUnavailable unless the
	// provider had begun to answer with success.
	ErrInterrupted = errors.New("ciba: answer lost")
	// ErrProtocol: the provider's answer breaks the specifications.
	ErrProtocol = errors.New("ciba: protocol violation")
	// ErrIDToken: the ID token is refused. Every [*IDTokenError] is one. Such an
	// error is also ErrProtocol.
	ErrIDToken = errors.New("ciba: ID token refused")
	// ErrWrongPerson: the ID token is good, but for another person than
	// Expect.Subject. Such an error is also ErrIDToken.
	ErrWrongPerson = errors.New("ciba: another person than expected")
)

// An Error is the error answer of a provider.
//
// Description and unknown codes were written by the provider: they are bounded
// in length and free of control characters, and deserve no further trust. They
// may repeat what was sent: a hint, say.
type Error struct {
	// Endpoint is the request that failed: "backchannel authentication",
	// "token", "revocation", "discovery" or "key set", or "notification" for what the provider
	// pushed.
	Endpoint string
	// Code is empty if the answer carried none, as with a bare 503.
	Code Code
	// Description is error_description, at most 256 bytes; often empty.
	Description string
	// Status is the HTTP status code; 0 of a push, which is itself a request.
	Status int
	// RetryAfter is the Retry-After header, as a time from now; 0 if absent.
	RetryAfter time.Duration
	// Interval is the interval member that some providers add to slow_down; 0 if
	// absent.
	Interval time.Duration
	// DPoPNonce is the nonce for the next DPoP proof (RFC 9449 section 8); often
	// empty.
	DPoPNonce string

	means []error // its classes at this provider; nil for those of the specification
}

// Error returns the endpoint, the status and the code, unless that does not look
// like one. It leaves the description out, so that the text can be logged.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Status == 0 {
		fmt.Fprintf(&b, "ciba: %s says", e.Endpoint)
	} else {
		fmt.Fprintf(&b, "ciba: %s endpoint answered %d", e.Endpoint, e.Status)
	}
	if e.Code != "" {
		b.WriteString(" " + e.Code.text())
	}
	return b.String()
}

// text returns the code if it is known or looks like one: lower-case letters and
// underscores.
func (c Code) text() string {
	_, known := classesOf[c]
	if known || !strings.ContainsFunc(string(c), func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
		return string(c)
	}
	return "an unknown code"
}

// Is reports whether target is a class of e.
func (e *Error) Is(target error) bool {
	if e.means != nil {
		return slices.Contains(e.means, target)
	}
	return slices.Contains(e.classes(), target)
}

// classes decides by the code and, where the code is silent, by the status. A
// server that fails (5xx) or throttles (429) is believed to be unavailable
// whatever its body says, except that it may still ask for a slower pace. Behind
// a gateway that got no answer (502, 504) the provider may have acted.
func (e *Error) classes() []error {
	busy := e.Status >= 500 || e.Status == 429 || e.Status == 408
	paced := e.Code == CodeSlowDown || e.Code == CodeAuthorizationPending
	switch {
	case paced || !busy:
	case e.Status == 502 || e.Status == 504:
		return []error{ErrUnavailable, ErrInterrupted}
	default:
		return []error{ErrUnavailable}
	}
	if c, ok := classesOf[e.Code]; ok {
		return c
	}
	switch {
	case e.Code == "":
		return []error{ErrProtocol}
	case e.Status == 401:
		return []error{ErrInvalidClient}
	default:
		return []error{ErrInvalidRequest}
	}
}

// classesOf is read only.
var classesOf = map[Code][]error{
	CodeAuthorizationPending:        {ErrPending},
	CodeSlowDown:                    {ErrSlowDown, ErrPending},
	CodeExpiredToken:                {ErrExpired},
	CodeAccessDenied:                {ErrDenied},
	CodeTransactionFailed:           {ErrTransactionFailed},
	CodeInvalidGrant:                {ErrInvalidGrant},
	CodeUnknownUserID:               {ErrUnknownUser},
	CodeExpiredLoginHintToken:       {ErrUnknownUser},
	CodeExpiredIDTokenHint:          {ErrUnknownUser},
	CodeInvalidIDTokenHint:          {ErrUnknownUser},
	CodeInvalidBindingMessage:       {ErrInvalidBindingMessage},
	CodeMissingUserCode:             {ErrUserCode},
	CodeInvalidUserCode:             {ErrUserCode},
	CodeInvalidClient:               {ErrInvalidClient},
	CodeUnauthorizedClient:          {ErrInvalidClient},
	CodeUnsupportedGrantType:        {ErrInvalidClient},
	CodeInvalidRequest:              {ErrInvalidRequest},
	CodeInvalidScope:                {ErrInvalidRequest},
	CodeInvalidTarget:               {ErrInvalidRequest},
	CodeInvalidAuthorizationDetails: {ErrInvalidRequest},
	CodeInvalidDPoPProof:            {ErrInvalidRequest},
	CodeUnsupportedTokenType:        {ErrInvalidRequest},
	CodeUseDPoPNonce:                {ErrUseDPoPNonce},
	CodeServerError:                 {ErrUnavailable},
	CodeTemporarilyUnavailable:      {ErrUnavailable},
}

// A FieldError says which field of a request or configuration is wrong, and
// what is allowed. Nothing was sent.
type FieldError struct {
	// Field is the name of the Go field, such as "BindingMessage".
	Field string
	// Problem says what was found and what is allowed, without the value itself
	// where that may be personal or secret.
	Problem string
}

// Error returns "ciba: <field>: <problem>".
func (e *FieldError) Error() string { return "ciba: " + e.Field + ": " + e.Problem }

func fieldErrorf(field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// An IDTokenError says which check an ID token failed. It never contains the
// token or any of its parts.
type IDTokenError struct {
	// Check is the claim, header member or property that is wrong: one of the
	// Check constants.
	Check Check
	// Problem says what is wrong with it.
	Problem string

	wrongPerson bool
}

// Error returns "ciba: ID token refused: <check>: <problem>".
func (e *IDTokenError) Error() string {
	return ErrIDToken.Error() + ": " + string(e.Check) + ": " + e.Problem
}

// Is reports whether target is [ErrIDToken], [ErrProtocol] or, for a sub that is
// as it should be but another's, [ErrWrongPerson].
func (e *IDTokenError) Is(target error) bool {
	return target == ErrIDToken || target == ErrProtocol || target == ErrWrongPerson && e.wrongPerson
}

// A Check names a property of an ID token (OpenID Connect Core sections 2 and
// 3.1.3.7, CIBA Core section 10.3.1).
type Check string

// The checks, in the order in which they are made.
const (
	CheckPresent   Check = "id_token"  // there is one, and it is not too large
	CheckForm      Check = "form"      // a compact JWS around one JSON object
	CheckAlg       Check = "alg"       // on the allow-list
	CheckTyp       Check = "typ"       // absent or JWT
	CheckKey       Check = "kid"       // names a key of the provider
	CheckSignature Check = "signature" // made with that key
	CheckIssuer    Check = "iss"
	CheckSubject   Check = "sub"
	CheckAudience  Check = "aud"
	CheckParty     Check = "azp"
	CheckExpiry    Check = "exp"
	CheckIssuedAt  Check = "iat"
	CheckNotBefore Check = "nbf"
	CheckACR       Check = "acr"
	CheckAuthTime  Check = "auth_time"
	CheckAtHash    Check = "at_hash"
	CheckAuthReqID Check = "urn:openid:params:jwt:claim:auth_req_id"
	CheckRtHash    Check = "urn:openid:params:jwt:claim:rt_hash"
)
