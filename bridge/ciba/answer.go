package ciba

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"time"
)

// Limits of what an error answer may say.
const (
	maxCode        = 64
	maxDescription = 256
	maxRetryAfter  = 24 * time.Hour
	maxNonce       = 256
)

// An answer is a complete HTTP response.
type answer struct {
	endpoint string
	status   int
	header   http.Header
	body     []byte
	tooLarge bool
}

// A protocolError is an answer that breaks the specifications.
type protocolError struct {
	endpoint string
	problem  string
}

func (e *protocolError) Error() string {
	return fmt.Sprintf("%v: %s endpoint: %s", ErrProtocol, e.endpoint, e.problem)
}

func (e *protocolError) Is(target error) bool { return target == ErrProtocol }

func (a *answer) protocolErrorf(format string, args ...any) error {
	return &protocolError{endpoint: a.endpoint, problem: fmt.Sprintf(format, args...)}
}

// object returns the JSON object of an answer with status 200, and an error for
// every other answer.
func (a *answer) object(mediaTypes ...string) (object, error) {
	if a.status != http.StatusOK {
		return nil, a.failure()
	}
	return a.json(append(mediaTypes, "application/json"))
}

func (a *answer) json(mediaTypes []string) (object, error) {
	if got := a.header.Get("Content-Type"); !isMediaType(got, mediaTypes) {
		return nil, a.protocolErrorf("status %d with content type %s, want %q", a.status, word(bareMediaType(got), usualMediaTypes), "application/json")
	}
	if a.tooLarge {
		return nil, a.protocolErrorf("status %d with a body of more than %d bytes", a.status, len(a.body)-1)
	}
	o, err := parseObject(a.body)
	if err != nil {
		return nil, a.protocolErrorf("status %d: %v", a.status, err)
	}
	return o, nil
}

// isMediaType reports whether a Content-Type header names one of types, with
// whatever parameters.
func isMediaType(header string, types []string) bool {
	if slices.Contains(types, header) {
		return true
	}
	return slices.Contains(types, bareMediaType(header))
}

// bareMediaType returns the media type without its parameters, "" if it is none.
func bareMediaType(header string) string {
	mediaType, _, err := mime.ParseMediaType(header)
	if err != nil {
		return ""
	}
	return mediaType
}

// usualMediaTypes are what turns up where JSON belongs. It is read only.
var usualMediaTypes = []string{
	"text/html", "text/plain", "text/json", "text/xml", "application/xml", "application/xhtml+xml", "application/jwt",
	"application/jwk-set+json", "application/problem+json", "application/octet-stream", "application/x-www-form-urlencoded",
}

// failure is the error for an answer whose status is not 200.
func (a *answer) failure() error {
	e := &Error{
		Endpoint:   a.endpoint,
		Status:     a.status,
		RetryAfter: parseRetryAfter(a.header.Get("Retry-After"), time.Now()),
		DPoPNonce:  parseNonce(a.header.Get("DPoP-Nonce")),
	}
	err := a.errorObject(e)
	if err != nil && !errors.Is(e, ErrUnavailable) {
		return err
	}
	return e
}

// errorObject fills e from the body (RFC 6749 section 5.2).
func (a *answer) errorObject(e *Error) error {
	if a.status < 400 {
		return a.protocolErrorf("status %d, want 200 or an error", a.status)
	}
	o, err := a.json([]string{"application/json"})
	if err != nil {
		return err
	}
	return a.errorMembers(o, e)
}

// errorMembers fills e from an error object.
func (a *answer) errorMembers(o object, e *Error) error {
	code, err := o.text("error", maxCode)
	switch {
	case err != nil:
		return a.protocolErrorf("status %d: %v", a.status, err)
	case code == "":
		return a.protocolErrorf("status %d: member \"error\" is missing", a.status)
	case printable(code, maxCode) != code:
		return a.protocolErrorf("status %d: member \"error\" has characters that no error code has", a.status)
	}
	e.Code = Code(code)
	if description, err := o.text("error_description", maxAnswer); err == nil {
		e.Description = printable(description, maxDescription)
	}
	if interval, ok, err := o.seconds("interval", 1, MaxInterval); err == nil && ok {
		e.Interval = interval
	}
	return nil
}
