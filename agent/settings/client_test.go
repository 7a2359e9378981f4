package settings_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

const good = `{"vss":"6.0","person":{"name":"Anna"},"settings":{"` + seatAt + `":320}}`

// inMemory answers without a network.
type inMemory struct{ http.Handler }

func (h inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

func client(h http.HandlerFunc) *settings.Client {
	return &settings.Client{URL: "https://settings.example.com/v1/settings", HTTP: &http.Client{Transport: inMemory{h}}}
}

func TestFetch(t *testing.T) {
	c := client(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer abc.def" || r.Method != http.MethodGet || r.Header.Get("Accept") != "application/json" {
			t.Errorf("asked %s %v", r.Method, r.Header)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		io.WriteString(w, good)
	})
	d, err := c.Fetch(t.Context(), settings.Token{Access: []byte("abc.def")})
	if err != nil || d.Name != "Anna" || d.Values[seatAt] != vehicle.Number(320) {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestFetchFails(t *testing.T) {
	answer := func(status int, kind, body string, more ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			for i := 0; i+1 < len(more); i += 2 {
				w.Header().Set(more[i], more[i+1])
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for _, x := range []struct {
		name      string
		handler   http.HandlerFunc
		temporary bool
		status    int
		after     time.Duration
	}{
		{"unauthorized", answer(401, "application/problem+json", "{}"), false, 401, 0},
		{"not found", answer(404, "", ""), false, 404, 0},
		{"redirect", answer(302, "", "", "Location", "https://evil.example.com/"), false, 302, 0},
		{"busy", answer(503, "", "", "Retry-After", "30"), true, 503, 30 * time.Second},
		{"busy for ever", answer(429, "", "", "Retry-After", "99999999"), true, 429, time.Hour},
		{"a date", answer(503, "", "", "Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"), true, 503, 0},
		{"HTML", answer(200, "text/html", "<html>"), false, 200, 0},
		{"no type", answer(200, "", good), false, 200, 0},
		{"wrong document", answer(200, "application/json", "{}"), false, 200, 0},
		{"too large", answer(200, "application/json", good+strings.Repeat(" ", settings.MaxBytes)), false, 200, 0},
	} {
		_, err := client(x.handler).Fetch(t.Context(), settings.Token{Access: []byte("secret-token")})
		got, ok := errors.AsType[*settings.AnswerError](err)
		if !ok || got.Temporary() != x.temporary || got.Status != x.status || got.RetryAfter != x.after {
			t.Errorf("%s: %v (%+v)", x.name, err, got)
		}
		if err != nil && strings.Contains(err.Error(), "secret-token") {
			t.Errorf("%s: the token is in the error", x.name)
		}
	}
	c := client(nil)
	c.HTTP.Transport = failing{}
	c.URL += "?key=secret"
	_, err := c.Fetch(t.Context(), settings.Token{Access: []byte("a")})
	if _, ok := errors.AsType[*settings.NetworkError](err); !ok || strings.Contains(err.Error(), "secret") {
		t.Errorf("network: %v", err)
	}
}

type failing struct{}

func (failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }

func TestTokens(t *testing.T) {
	c := client(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "DPoP abc" {
			t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, good)
	})
	bound := settings.Token{Access: []byte("abc"), Type: schemas.DPoP}
	if _, err := c.Fetch(t.Context(), bound); err == nil || !strings.Contains(err.Error(), "DPoP") {
		t.Errorf("a bound token as a bearer token: %v", err)
	}
	c.Authorize = func(r *http.Request, t settings.Token) error {
		r.Header.Set("Authorization", t.Type.String()+" "+string(t.Access))
		return nil
	}
	if _, err := c.Fetch(t.Context(), bound); err != nil {
		t.Error(err)
	}
	c.Authorize = nil
	for _, bad := range []string{"a b", "a\r\nX: y", "ä"} {
		if _, err := c.Fetch(t.Context(), settings.Token{Access: []byte(bad)}); err == nil {
			t.Errorf("token %q is sent", bad)
		}
	}
	for _, url := range []string{"http://example.com", "", "https://", "https://user@example.com/", "https://example.com/#x"} {
		c.URL = url
		if _, err := c.Fetch(t.Context(), settings.Token{Access: []byte("a")}); err == nil {
			t.Errorf("URL %q is used", url)
		}
		if _, err := settings.NewHTTP(url, nil, nil); err == nil {
			t.Errorf("URL %q gets a client", url)
		}
	}
}

// Over real TLS: the fleet's roots, TLS 1.3, no redirect followed, and a clock
// of 1970 that does not matter.
func TestNewHTTP(t *testing.T) {
	ca := mtlstest.New(t)
	var redirect bool
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if redirect {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, good)
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{*ca.Server("127.0.0.1")}}
	srv.StartTLS()
	defer srv.Close()
	fetch := func(ca *mtlstest.Authority, now time.Time) error {
		t.Helper()
		h, err := settings.NewHTTP(srv.URL, ca.Roots(), func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		defer h.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = (&settings.Client{URL: srv.URL, HTTP: h}).Fetch(ctx, settings.Token{Access: []byte("a")})
		return err
	}
	if err := fetch(ca, time.Now()); err != nil {
		t.Error(err)
	}
	if err := fetch(ca, time.Unix(1, 0)); err != nil {
		t.Errorf("in 1970: %v", err)
	}
	if err := fetch(ca, time.Now().Add(1000*24*time.Hour)); err == nil {
		t.Error("an expired certificate is taken")
	}
	if err := fetch(mtlstest.New(t), time.Now()); err == nil {
		t.Error("a stranger's certificate is taken")
	}
	redirect = true
	if answer, ok := errors.AsType[*settings.AnswerError](fetch(ca, time.Now())); !ok || answer.Status != http.StatusFound {
		t.Error("a redirect is followed")
	}
	srv.TLS.MaxVersion = tls.VersionTLS12
	if err := fetch(ca, time.Now()); err == nil {
		t.Error("TLS 1.2 is spoken")
	}
}
