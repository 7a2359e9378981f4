package enroll

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

const (
	defaultTimeout = 30 * time.Second
	maxAnswer      = 256 << 10 // bytes of a JSON answer; a chain of three is 3 kB
	maxCRL         = 32 << 20  // bytes of a revocation list; about 600,000 entries
	maxMessage     = 300       // bytes of an error message that are repeated
)

// StatusError is an answer of the authority that refuses a call.
type StatusError struct {
	Status  int    // of HTTP
	Message string // what the authority said, quoted, or what it sent in place of that
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the authority answered %d %s: %s", e.Status, http.StatusText(e.Status), e.Message)
}

// Refused reports whether the same call will be refused again: the authority
// understood it and said no.
func (e *StatusError) Refused() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return e.Status >= 400 && e.Status < 500
}

// request is one call of the authority's API.
type request struct {
	method    string               // empty: GET
	path      string               // below the URL of the client
	body      any                  // sent as JSON; nil: none
	cert      mtls.CertificateFunc // shown in the handshake; nil: none
	anyServer bool                 // do not verify the server; the caller verifies the answer
	limit     int64                // bytes of the answer; zero: maxAnswer
}

// call makes a request and decodes the answer into a struct from JSON, or into
// a *[]byte as it is.
func (c *Client) call(ctx context.Context, r request, answer any) error {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := c.newHTTPRequest(ctx, r)
	if err != nil {
		return err
	}
	client := &http.Client{
		Transport: c.transport(r, req.URL.Hostname()),
		// A redirect would carry the token to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return err // names method and address
	}
	defer resp.Body.Close()
	limit := r.limit
	if limit == 0 {
		limit = maxAnswer
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", req.URL, err)
	}
	if int64(len(body)) > limit {
		return fmt.Errorf("the answer of %s is larger than %d bytes", req.URL, limit)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return &StatusError{Status: resp.StatusCode, Message: message(resp, body)}
	}
	if raw, ok := answer.(*[]byte); ok {
		*raw = body
		return nil
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("the answer of %s is not what an authority sends: %w", req.URL, err)
	}
	return nil
}

func (c *Client) newHTTPRequest(ctx context.Context, r request) (*http.Request, error) {
	u, err := c.base()
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.JoinPath(r.path).String(), body)
	if err != nil {
		return nil, err
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// transport returns a transport for one request: each may show another
// certificate, and none is made often enough to keep a connection for.
func (c *Client) transport(r request, serverName string) http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	cfg := mtls.ClientConfig(c.Roots, r.cert, serverName)
	if r.anyServer {
		// The caller compares the answer with a fingerprint, which proves more
		// than the name in a certificate would.
		cfg = &tls.Config{MinVersion: tls.VersionTLS13, ServerName: serverName, InsecureSkipVerify: true}
	} else {
		cfg = mtls.TolerateClock(cfg, c.Clock)
	}
	return &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		DialContext:       c.Dial,
		TLSClientConfig:   cfg,
		DisableKeepAlives: true,
	}
}

// message finds the words in an error answer.
func message(resp *http.Response, body []byte) string {
	var problem struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &problem) == nil && problem.Message != "" {
		return fmt.Sprintf("%q", clip(problem.Message))
	}
	if to := resp.Header.Get("Location"); to != "" {
		return fmt.Sprintf("a redirect to %q, which is not followed", clip(to))
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if text := strings.TrimSpace(string(body)); kind == "text/plain" && text != "" {
		return fmt.Sprintf("%q", clip(text))
	}
	return fmt.Sprintf("no message, but %d bytes of %q", len(body), clip(kind))
}

func clip(s string) string {
	if len(s) > maxMessage {
		return s[:maxMessage] + "…"
	}
	return s
}

// certPEM is a certificate that travels in JSON as PEM; nil if it was empty.
type certPEM struct{ *x509.Certificate }

func (p *certPEM) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	if text == "" {
		return nil
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return errors.New("a field that should hold a certificate holds something else")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	p.Certificate = cert
	return nil
}
