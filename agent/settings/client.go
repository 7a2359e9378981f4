package settings

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// A Token is what settings are fetched with.
type Token struct {
	Access []byte
	Type   schemas.TokenType
}

// A Client fetches documents from a settings API. It may be used concurrently.
type Client struct {
	// URL of the document; https. Required.
	URL string
	// HTTP makes the requests; see NewHTTP. It follows no redirect, whatever
	// its CheckRedirect says. Required.
	HTTP *http.Client
	// Authorize puts the token on a request. Nil sends bearer tokens (RFC 6750
	// section 2.1) and refuses tokens that are bound to a key: those need a
	// proof on each request (RFC 9449 section 7), which is made here.
	Authorize func(*http.Request, Token) error
}

// fetchTimeout bounds one request with its answer.
const fetchTimeout = 15 * time.Second

// NewHTTP returns a client for an API at the host of rawURL: TLS 1.3 to roots,
// bounded headers and time. Now judges the server's certificate,
// see mtls.TolerateClock; nil means time.Now.
func NewHTTP(rawURL string, roots *x509.CertPool, now func() time.Time) (*http.Client, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout: fetchTimeout,
		Transport: &http.Transport{
			TLSClientConfig:        mtls.TolerateClock(mtls.ClientConfig(roots, nil, u.Hostname()), now),
			TLSHandshakeTimeout:    fetchTimeout,
			ResponseHeaderTimeout:  fetchTimeout,
			MaxResponseHeaderBytes: 16 << 10,
			IdleConnTimeout:        time.Minute,
			MaxIdleConns:           1,
			DisableCompression:     true, // so that MaxBytes is what travels
		},
	}, nil
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("settings URL: %w", err)
	}
	if u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("settings URL %q, want https://host/path", raw)
	}
	return u, nil
}

// An AnswerError is an answer of the settings API that is no document.
type AnswerError struct {
	Status     int           // of HTTP
	RetryAfter time.Duration // as the API asked, at most an hour; 0 if it did not
	Reason     string        // what is wrong with an answer of status 200, or ""
}

func (e *AnswerError) Error() string {
	if e.Reason != "" {
		return "the settings API answered " + e.Reason
	}
	return fmt.Sprintf("the settings API answered %d %s", e.Status, http.StatusText(e.Status))
}

// Temporary reports whether the same request may succeed later.
func (e *AnswerError) Temporary() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

// A NetworkError is a request that got no whole answer.
type NetworkError struct {
	Err error // without the URL, in whose query some put secrets
}

func (e *NetworkError) Error() string { return "fetching settings: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *NetworkError) Unwrap() error { return e.Err }

// Fetch returns the document of the person whom the token is about. An
// [*AnswerError] or a [*NetworkError] says whether the same may succeed later;
// any other error is about the token or the configuration.
func (c *Client) Fetch(ctx context.Context, t Token) (Document, error) {
	if _, err := parseURL(c.URL); err != nil {
		return Document{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return Document{}, fmt.Errorf("fetching settings: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if err := c.authorize(req, t); err != nil {
		return Document{}, fmt.Errorf("fetching settings: %w", err)
	}
	once := *c.HTTP // a redirect would carry the token elsewhere
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := once.Do(req)
	if err != nil {
		return Document{}, &NetworkError{withoutURL(err)}
	}
	defer resp.Body.Close()
	return read(resp)
}

func (c *Client) authorize(req *http.Request, t Token) error {
	if c.Authorize != nil {
		return c.Authorize(req, t)
	}
	if t.Type != schemas.Bearer {
		return fmt.Errorf("the token is of type %v, and nothing is configured to make its proofs", t.Type)
	}
	for _, b := range t.Access {
		if b <= ' ' || b > '~' {
			return fmt.Errorf("the token contains the byte %#02x, which no HTTP header carries", b)
		}
	}
	req.Header.Set("Authorization", "Bearer "+string(t.Access))
	return nil
}

func read(resp *http.Response) (Document, error) {
	if resp.StatusCode != http.StatusOK {
		return Document{}, &AnswerError{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return Document{}, &AnswerError{Status: resp.StatusCode, Reason: fmt.Sprintf("with %.60q, want application/json", kind)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxBytes+1))
	if err != nil {
		return Document{}, &NetworkError{err}
	}
	d, err := Parse(body)
	if err != nil {
		return Document{}, &AnswerError{Status: resp.StatusCode, Reason: "with a document that cannot be used: " + err.Error()}
	}
	return d, nil
}

// retryAfter reads the header in seconds (RFC 9110 section 10.2.3); a date
// would need a clock.
func retryAfter(header string) time.Duration {
	n, err := strconv.Atoi(header)
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, time.Hour)
}

// withoutURL keeps a query, in which some put secrets, out of the logs.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
