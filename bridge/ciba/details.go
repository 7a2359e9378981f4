package ciba

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Limits of what a request asks for, and of what is granted.
const (
	// MaxAuthorizationDetails bounds all authorization details together, in bytes.
	MaxAuthorizationDetails = 16 << 10
	// MaxDetails bounds their number, and that of resources.
	MaxDetails = 32
	// MaxRequestContext bounds the request context, in bytes.
	MaxRequestContext = 8 << 10
)

// An AuthorizationDetail is one thing that was granted (RFC 9396 section 2).
type AuthorizationDetail struct {
	// Type says which other members there are, and what they mean. It is never
	// empty.
	Type string
	// JSON is the whole object, type included.
	JSON json.RawMessage
}

// ParseAuthorizationDetails reads a JSON array of authorization details, such as
// [Tokens].AuthorizationDetails. It accepts at most [MaxDetails] objects of at
// most [MaxAuthorizationDetails] bytes together, each with unique members and a
// type; nil and an empty array have none.
func ParseAuthorizationDetails(array json.RawMessage) ([]AuthorizationDetail, error) {
	if len(array) == 0 {
		return nil, nil
	}
	if len(array) > MaxAuthorizationDetails {
		return nil, fmt.Errorf("ciba: authorization details have %d bytes, at most %d are allowed", len(array), MaxAuthorizationDetails)
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(array, &elements); err != nil || elements == nil {
		return nil, errors.New("ciba: authorization details are not a JSON array")
	}
	if len(elements) > MaxDetails {
		return nil, fmt.Errorf("ciba: there are %d authorization details, at most %d are allowed", len(elements), MaxDetails)
	}
	details := make([]AuthorizationDetail, len(elements))
	for i, e := range elements {
		kind, err := detailType(e)
		if err != nil {
			return nil, fmt.Errorf("ciba: authorization detail %d %w", i, err)
		}
		details[i] = AuthorizationDetail{Type: kind, JSON: e}
	}
	return details, nil
}

var (
	errDetailObject = errors.New("is not one JSON object with unique members")
	errDetailType   = errors.New("has no type, or one that is not printable or too long")
)

func detailType(data json.RawMessage) (string, error) {
	o, err := parseObject(data)
	if err != nil {
		return "", errDetailObject
	}
	kind, err := o.text("type", maxDescription)
	if err != nil || kind == "" || printable(kind, maxDescription) != kind {
		return "", errDetailType
	}
	return kind, nil
}

// checkDetails wants bounded objects with a type.
func (r *AuthenticationRequest) checkDetails() error {
	if len(r.AuthorizationDetails) > MaxDetails {
		return fieldErrorf("AuthorizationDetails", "has %d elements, at most %d are allowed", len(r.AuthorizationDetails), MaxDetails)
	}
	size := 2
	for i, d := range r.AuthorizationDetails {
		if _, err := detailType(d); err != nil {
			return fieldErrorf("AuthorizationDetails", "element %d %v", i, err)
		}
		size += len(d) + 1
	}
	if size > MaxAuthorizationDetails {
		return fieldErrorf("AuthorizationDetails", "has %d bytes, at most %d are allowed", size, MaxAuthorizationDetails)
	}
	return nil
}

// checkDetailTypes holds the types against those that the provider knows, if it
// says which.
func (r *AuthenticationRequest) checkDetailTypes(m *Metadata) error {
	for i, d := range r.AuthorizationDetails {
		kind, err := detailType(d)
		if err == nil && m.AuthorizationDetailsTypes != nil && !slices.Contains(m.AuthorizationDetailsTypes, kind) {
			return fieldErrorf("AuthorizationDetails", "element %d is of type %q, but the provider knows %s", i, kind, some(m.AuthorizationDetailsTypes))
		}
	}
	return nil
}

func (r *AuthenticationRequest) checkTargets() error {
	if err := checkResources(r.Resource); err != nil {
		return err
	}
	if err := checkText("Audience", r.Audience, maxURL); err != nil {
		return err
	}
	if len(r.RequestContext) > MaxRequestContext {
		return fieldErrorf("RequestContext", "has %d bytes, at most %d are allowed", len(r.RequestContext), MaxRequestContext)
	}
	if len(r.RequestContext) > 0 {
		if _, err := parseObject(r.RequestContext); err != nil {
			return fieldErrorf("RequestContext", "%v", errDetailObject)
		}
	}
	return nil
}

// checkResources wants absolute URIs without a fragment (RFC 8707 section 2).
func checkResources(list []string) error {
	if len(list) > MaxDetails {
		return fieldErrorf("Resource", "has %d elements, at most %d are allowed", len(list), MaxDetails)
	}
	for i, s := range list {
		u, err := url.Parse(s)
		if err != nil || !u.IsAbs() || strings.Contains(s, "#") || !isVisible(s) || len(s) > maxURL {
			return fieldErrorf("Resource", "element %d is not an absolute URI without a fragment of at most %d bytes", i, maxURL)
		}
	}
	return nil
}
