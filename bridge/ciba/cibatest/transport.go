package cibatest

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
)

// Client returns an HTTP client that calls the provider directly, whatever the
// host. Requests to other schemes than https, and to hosts that are not the
// issuer's, fail: nothing should be sent there.
func (p *Provider) Client() *http.Client { return &http.Client{Transport: transport{p}} }

type transport struct{ p *Provider }

var errReset = errors.New("cibatest: connection reset by peer")

// RoundTrip calls the handler in the goroutine of the caller. A handler that
// waits gives up when the request is cancelled.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(t.p.IssuerURL(), "/")
	if target := r.URL.Scheme + "://" + r.URL.Host + r.URL.Path; !strings.HasPrefix(target, base+"/") {
		return nil, errors.New("cibatest: no route to " + target)
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	a := newAnswer()
	aborted := a.serve(t.p, serverSide(r))
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if aborted && !a.wrote {
		return nil, errReset
	}
	return a.response(r, aborted), nil
}

// serverSide returns a copy of r that a handler may change.
func serverSide(r *http.Request) *http.Request {
	r = r.WithContext(r.Context())
	r.RequestURI, r.Host = r.URL.RequestURI(), r.URL.Host
	if r.Body == nil {
		r.Body = http.NoBody
	}
	return r
}

// An answer records what a handler writes.
type answer struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

func newAnswer() *answer { return &answer{header: http.Header{}, status: http.StatusOK} }

func record(r *http.Request, h http.HandlerFunc) *answer {
	a := newAnswer()
	h(a, r)
	return a
}

// serve reports whether the handler cut the connection.
func (a *answer) serve(h http.Handler, r *http.Request) (aborted bool) {
	defer func() {
		switch err := recover(); err {
		case nil:
		case http.ErrAbortHandler:
			aborted = true
		default:
			panic(err)
		}
	}()
	h.ServeHTTP(a, r)
	return false
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if !a.wrote {
		a.status, a.wrote = status, true
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// Flush implements [http.Flusher]: everything is at the client already.
func (a *answer) Flush() {}

func (a *answer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	w.Write(a.body.Bytes())
}

func (a *answer) response(r *http.Request, aborted bool) *http.Response {
	var body io.Reader = bytes.NewReader(a.body.Bytes())
	length := int64(a.body.Len())
	if aborted {
		body, length = io.MultiReader(body, brokenReader{}), -1
	}
	return &http.Response{
		Status:     http.StatusText(a.status),
		StatusCode: a.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        a.header,
		Body:          io.NopCloser(body),
		ContentLength: length,
		Request:       r,
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
