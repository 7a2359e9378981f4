package ciba

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
)

// MinTimeout is the least Timeout of a Config.HTTPClient: a long poll and a
// little more.
const MinTimeout = LongPoll + 5*time.Second

// How long one request may take, and how many bytes its answer may have.
const (
	tokenTimeout        = MinTimeout
	authenticateTimeout = 30 * time.Second
	fetchTimeout        = 10 * time.Second

	maxAnswer = 64 << 10
	maxFetch  = 256 << 10
)

// The requests, as they are named in errors.
const (
	endpointAuthenticate = "backchannel authentication"
	endpointToken        = "token"
	endpointRevocation   = "revocation"
	endpointDiscovery    = "discovery"
	endpointKeys         = "key set"
)

// NewHTTPClient returns a client fit for [Config.HTTPClient]: TLS 1.2 or later,
// no redirects, no cookies, time-outs that outlast a long poll, and enough idle
// connections to use each again when many sign-ins wait at one provider.
//
// tlsConfig may be nil; it is cloned. It is where private root certificates go,
// and a client certificate that never changes; see [Config].Certificate for one
// that does.
func NewHTTPClient(tlsConfig *tls.Config) *http.Client {
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	tlsConfig = tlsConfig.Clone()
	tlsConfig.MinVersion = max(tlsConfig.MinVersion, tls.VersionTLS12)
	return &http.Client{
		Timeout:       MinTimeout + 5*time.Second,
		CheckRedirect: noRedirect,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        tlsConfig,
			TLSHandshakeTimeout:    10 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    256,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 32 << 10,
			// Answers are small; a server cannot send one that grows.
			DisableCompression: true,
		},
	}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// An exchange is one request to one endpoint.
type exchange struct {
	endpoint string // for errors
	url      string
	form     url.Values  // nil for GET
	header   http.Header // nil for none
	timeout  time.Duration
	limit    int64 // bytes of the answer
}

// post makes a request that proves who the client is, and returns the object of
// a successful answer.
func (c *Client) post(ctx context.Context, x exchange) (object, *answer, error) {
	a, err := c.send(ctx, x)
	if err != nil {
		return nil, nil, err
	}
	o, err := a.object()
	return o, a, err
}

// send makes a request that proves who the client is. The error, if any, is a
// transportError.
func (c *Client) send(ctx context.Context, x exchange) (*answer, error) {
	if x.header == nil {
		x.header = http.Header{}
	}
	x.limit = maxAnswer
	if err := c.auth.Authenticate(c.identity, x.form, x.header); err != nil {
		return nil, &transportError{endpoint: x.endpoint, unsent: true, err: err}
	}
	return c.do(ctx, x)
}

// do makes one request and reads its answer. The error, if any, is a
// transportError.
func (c *Client) do(ctx context.Context, x exchange) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	var wire wireState
	req, err := x.request(wire.trace(ctx))
	if err != nil {
		return nil, &transportError{endpoint: x.endpoint, unsent: true, err: err}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		_, uncertified := errors.AsType[*certificateError](err)
		refused := isCertificateAlert(err)
		unsent := x.form == nil || wire.unsent() || uncertified || refused
		return nil, &transportError{endpoint: x.endpoint, unsent: unsent, refused: refused, err: err}
	}
	defer resp.Body.Close()
	a := &answer{endpoint: x.endpoint, status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, x.limit+1))
	if err != nil {
		return nil, &transportError{endpoint: x.endpoint, unsent: x.form == nil, status: resp.StatusCode, err: err}
	}
	a.tooLarge = int64(len(a.body)) > x.limit
	return a, nil
}

func (x exchange) request(ctx context.Context) (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if x.form != nil {
		method, body = http.MethodPost, strings.NewReader(x.form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, x.url, body)
	if err != nil {
		return nil, err
	}
	if x.header != nil {
		req.Header = x.header
	}
	if x.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// A wireState tells whether a request that failed can have reached the server:
// not if a connection was asked for and none was had. A RoundTripper that
// reports nothing leaves the question open, which counts as sent.
type wireState struct{ asked, had atomic.Bool }

func (w *wireState) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { w.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { w.had.Store(true) },
	})
}

func (w *wireState) unsent() bool { return w.asked.Load() && !w.had.Load() }

// isCertificateAlert reports whether the server has ended the TLS handshake for
// want of a client certificate, or because of it. In TLS 1.3 the client learns of
// it after it has sent its request, which the server then has not read (RFC 8446
// section 4.4.2.4).
func isCertificateAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" && strings.Contains(op.Err.Error(), "certificate")
}

// A transportError is a request without a complete answer.
type transportError struct {
	endpoint string
	unsent   bool // it certainly had no effect
	refused  bool // for the client's certificate
	status   int  // of the answer whose body was cut off; 0 if there was none
	err      error
}

func (e *transportError) Error() string {
	if e.status != 0 {
		return fmt.Sprintf("ciba: %s endpoint answered %d, then broke off: %s", e.endpoint, e.status, e.cause())
	}
	return fmt.Sprintf("ciba: %s endpoint: %s", e.endpoint, e.cause())
}

// cause is the text of err without what it quotes: net/http and crypto/tls put
// what a server sent between quotation marks, and that may be a part of anything.
func (e *transportError) cause() string {
	err := e.err
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // the endpoint is known without its URL
	}
	return printable(quotation.ReplaceAllString(err.Error(), `"…"`), maxCause)
}

const maxCause = 512

// quotation matches what %q makes.
var quotation = regexp.MustCompile(`"(\\.|[^"\\])*("|$)`)

func (e *transportError) Unwrap() error { return e.err }

// Is: an answer that had begun with an error status had no effect; one that had
// begun with success had it, and cannot be had again.
func (e *transportError) Is(target error) bool {
	switch target {
	case ErrUnavailable:
		return e.unsent || e.status < 200 || e.status > 299
	case ErrInterrupted:
		return !e.unsent && e.status < 300
	case ErrInvalidClient:
		return e.refused
	default:
		return false
	}
}
