package provider

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/go-jose/go-jose/v4/jwt"
)

// notifier is the HTTP client for pings and pushes.
func (p *Provider) notifier() *http.Client {
	client := *p.cfg.HTTPClient
	client.Transport = pushTransport{p, client.Transport}
	return &client
}

// pushTransport completes a push on its way out: CIBA Core section 10.3.1 wants
// at_hash in the ID token, which go-oidc v0.25.0 leaves out.
type pushTransport struct {
	provider *Provider
	next     http.RoundTripper // nil means http.DefaultTransport
}

// RoundTrip implements http.RoundTripper.
func (t pushTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close() // it is in memory
	if err != nil {
		return nil, err
	}
	if body, err = t.provider.completePush(body); err != nil {
		return nil, fmt.Errorf("completing the push: %w", err)
	}
	out := r.Clone(r.Context())
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return next.RoundTrip(out)
}

// completePush returns a notification with at_hash in its ID token, if it has
// one, and any other unchanged.
func (p *Provider) completePush(body []byte) ([]byte, error) {
	var push map[string]any
	if err := json.Unmarshal(body, &push); err != nil {
		return nil, err
	}
	access, _ := push["access_token"].(string)
	raw, _ := push["id_token"].(string)
	if access == "" || raw == "" {
		return body, nil
	}
	token, err := jwt.ParseSigned(raw, assertionAlgs)
	if err != nil {
		return nil, err
	}
	claims := map[string]any{}
	if err := token.Claims(p.key.Public().Key, &claims); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(access))
	claims["at_hash"] = base64url(sum[:len(sum)/2])
	if push["id_token"], err = p.key.sign("JWT", claims); err != nil {
		return nil, err
	}
	return json.Marshal(push)
}
