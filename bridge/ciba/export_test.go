package ciba

import (
	"bytes"
	"crypto"
	"encoding/json"
	"net/http"
	"net/http/httptest"

	"github.com/go-jose/go-jose/v4"
)

// The parsers of answers, for fuzzing: from an HTTP answer with status 200 to
// the value.

func ParseMetadata(body []byte) (*Metadata, error) {
	o, err := jsonAnswer(200, body).object()
	if err != nil {
		return nil, err
	}
	m, err := parseMetadata(o)
	if err != nil {
		return nil, err
	}
	return m, m.validate(false)
}

func ParseKeys(body []byte) ([]jose.JSONWebKey, error) {
	o, err := jsonAnswer(200, body).object()
	if err != nil {
		return nil, err
	}
	s, err := parseKeys(o)
	if err != nil {
		return nil, err
	}
	return s.keys, nil
}

func ParseAcknowledgement(body []byte) (Acknowledgement, error) {
	o, err := jsonAnswer(200, body).object()
	if err != nil {
		return Acknowledgement{}, err
	}
	return parseAcknowledgement(o)
}

func ParseTokens(body []byte) (*Tokens, error) {
	o, err := jsonAnswer(200, body).object()
	if err != nil {
		return nil, err
	}
	return parseTokens(o, false)
}

func ParseError(status int, retryAfter, nonce string, body []byte) error {
	a := jsonAnswer(status, body)
	a.header.Set("Retry-After", retryAfter)
	a.header.Set("DPoP-Nonce", nonce)
	return a.failure()
}

func ParseClaims(payload []byte) (*IDToken, error) {
	t, _, err := parseClaims(payload)
	return t, err
}

func ParseHeader(raw string) (alg, kid string, err error) {
	jws, err := parseCompact(raw)
	if err != nil {
		return "", "", err
	}
	h, err := parseHeader(jws.header, asymmetricAlgs)
	return string(h.alg), h.kid, err
}

func jsonAnswer(status int, body []byte) *answer {
	return &answer{
		endpoint: "fuzz",
		status:   status,
		header:   http.Header{"Content-Type": {"application/json"}},
		body:     body,
	}
}

// HandleNotification runs the body of a notification with a good token for the
// sign-in "s1" through the handler.
func (h *NotificationHandler) HandleNotification(body []byte) int {
	token, err := h.cfg.Tokens.Mint("s1")
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// ParseObject reads one JSON object.
func ParseObject(data []byte) (map[string]json.RawMessage, error) { return parseObject(data) }

// The headers of answers.
var (
	ParseRetryAfter = parseRetryAfter
	ParseNonce      = parseNonce
)

// Verify returns the payload of a compact JWS that key has made with alg.
func Verify(raw string, key crypto.PublicKey, alg string) (payload []byte, err error) {
	jws, err := parseCompact(raw)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(jws.header, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		return nil, err
	}
	if !fits(key, h.alg) || !jws.signedBy(key, h.alg) {
		return nil, refuse(CheckSignature, "is wrong")
	}
	return jws.payload, nil
}

// IssSub is issSub.
func IssSub(issuer, hint string) (string, error) { return issSub(issuer, hint) }
