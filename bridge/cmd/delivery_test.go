package cmd_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/cmd"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// serve runs a bridge with these settings beside those that work ("" takes one
// away), and returns what ends it in good order and returns its log.
func (w *world) serve(flags map[string]string) (stop func() string) {
	w.t.Helper()
	ops := freeAddress(w.t)
	ctx, cancel := context.WithCancel(context.Background())
	out, ended := new(log), make(chan int, 1)
	go func() {
		ended <- cmd.Main(ctx, append(args("serve", w.with(flags)), "--ops", ops), nil, io.Discard, out)
	}()
	stop = func() string {
		cancel()
		if code := <-ended; code != 0 {
			w.t.Errorf("exit status %d", code)
		}
		ended <- 0
		return out.String()
	}
	w.t.Cleanup(func() {
		if said := stop(); w.t.Failed() {
			w.t.Logf("the bridge said:\n%s", said)
		}
	})
	eventually(w.t, "ready", func() bool { return get(ops, "/readyz") == 200 })
	return stop
}

// with returns the settings that work with others beside them.
func (w *world) with(flags map[string]string) map[string]string {
	all := w.flags()
	maps.Copy(all, flags)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

// notify has the provider send its notifications to an address over TLS, with
// that certificate of its own, if any.
func (w *world) notify(address string, own *tls.Certificate) {
	config := &tls.Config{RootCAs: w.ca.Roots()}
	if own != nil {
		config.Certificates = []tls.Certificate{*own}
	}
	transport := &http.Transport{TLSClientConfig: config}
	w.t.Cleanup(transport.CloseIdleConnections)
	w.op.Endpoint = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = &url.URL{Scheme: "https", Host: address, Path: "/ciba/notification"}
			r.Out.Host = address
		},
		Transport: transport,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
}

// callback are the settings of a callback with TLS.
func (w *world) callback(delivery string) (flags map[string]string, address string) {
	w.store("callback", w.ca.Server("127.0.0.1"))
	address = freeAddress(w.t)
	return map[string]string{
		"delivery": delivery, "callback": address,
		"callback-cert": w.path("callback.crt"), "callback-key": w.path("callback.key"),
	}, address
}

// The provider pings or pushes over TLS; without that the answer would come
// after 45 seconds, or not at all.
func TestDelivery(t *testing.T) {
	for delivery, tokenRequests := range map[string]int{"ping": 1, "push": 0} {
		t.Run(delivery, func(t *testing.T) {
			op := &cibatest.Provider{Delivery: delivery, AutoApprove: 500 * time.Millisecond}
			w := newWorld(t, op)
			flags, address := w.callback(delivery)
			w.notify(address, nil)
			stop := w.serve(flags)
			c := w.car("car-1")
			c.insist(c.signIn(c.hello(), "anna@example.com"), granted)
			if n := op.Stats().Token; n != tokenRequests {
				t.Errorf("the token endpoint was asked %d times, want %d", n, tokenRequests)
			}
			eventually(t, "the notification is taken", func() bool { return slices.Equal(op.Replies(), []int{204}) })
			if said := stop(); !contains(said, "carillon-bridge has stopped") {
				t.Errorf("log:\n%s", said)
			}
		})
	}
}

// A provider that must show a certificate of its own is let in with that one
// only.
func TestCallbackWantsCertificate(t *testing.T) {
	stranger := mtlstest.New(t)
	for name, c := range map[string]struct {
		own  func(*world) *tls.Certificate
		name string // that it must have
		want int
	}{
		"its own":           {func(w *world) *tls.Certificate { return w.ca.Device("op") }, "", 204},
		"none":              {func(*world) *tls.Certificate { return nil }, "", 502},
		"a stranger's":      {func(*world) *tls.Certificate { return stranger.Device("op") }, "", 502},
		"of another's name": {func(w *world) *tls.Certificate { return w.ca.Device("op") }, "op.example.com", 401},
	} {
		t.Run(name, func(t *testing.T) {
			op := &cibatest.Provider{Delivery: "ping"}
			w := newWorld(t, op)
			flags, address := w.callback("ping")
			flags["callback-client-roots"], flags["callback-client-name"] = w.path("roots.pem"), c.name
			w.notify(address, c.own(w))
			w.serve(flags)
			car := w.car("car-1")
			car.insist(car.signIn(car.hello(), "anna@example.com"), pending)
			op.Approve(op.Requests()[0].AuthReqID)
			if r := op.Replies(); len(r) != 1 || r[0] != c.want {
				t.Errorf("the ping was answered with %v, want %d", r, c.want)
			}
		})
	}
}

// Beside the one path there is nothing, and nobody is sent elsewhere.
func TestCallbackPaths(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{Delivery: "ping"})
	address := freeAddress(t)
	w.serve(map[string]string{"delivery": "ping", "callback": address, "callback-insecure-http": "true"})
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, want := range map[string]int{
		"/ciba/notification":      401,
		"/":                       404,
		"/healthz":                404,
		"/ciba/notification/":     404,
		"//ciba/notification":     404,
		"/ciba/./notification":    404,
		"/x/../ciba/notification": 404,
		"/CIBA/notification":      404,
	} {
		resp, err := client.Post("http://"+address+path, "application/json", strings.NewReader(`{"auth_req_id":"x"}`))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: answered with %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// The bridge proves itself with a certificate, and takes up another one while it
// runs.
func TestMutualTLS(t *testing.T) {
	for _, method := range []string{"tls", "self-signed-tls"} {
		t.Run(method, func(t *testing.T) {
			var shown atomic.Pointer[x509.Certificate]
			op := &cibatest.Provider{
				AutoApprove:       100 * time.Millisecond,
				Interval:          time.Second,
				ClientCertificate: func(c *x509.Certificate) bool { shown.Store(c); return true },
			}
			w := newWorld(t, op)
			w.store("client", w.ca.Bridge("b1"))
			w.serve(map[string]string{
				"client-auth": method, "client-secret-file": "", "client-cert": w.path("client.crt"), "client-key": w.path("client.key"),
			})
			c := w.car("car-1")
			c.insist(c.signIn(c.hello(), "anna@example.com"), granted)
			first := shown.Load()
			next := w.ca.Bridge("b1")
			w.store("client", next)
			c.insist(c.signIn(c.hello(), "anna@example.com"), granted)
			if got := shown.Load(); got.Equal(first) || !got.Equal(next.Leaf) {
				t.Errorf("the provider saw the certificate %x, want the new one", got.SerialNumber)
			}
		})
	}
}

// A certificate beside another method binds tokens and proves nothing; requests
// are signed with a key of their own.
func TestSignedRequests(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{
		AutoApprove: 100 * time.Millisecond, Interval: time.Second,
		RequestAlgs: []string{"ES256"}, RequireSignedRequest: true,
	})
	assertion, request := w.ca.Bridge("b1"), w.ca.Bridge("b2")
	w.store("client", assertion)
	w.store("request", request)
	for kid, cert := range map[string]*tls.Certificate{"jwt-1": assertion, "request-1": request} {
		w.op.ClientKeys = append(w.op.ClientKeys, jose.JSONWebKey{Key: cert.PrivateKey.(crypto.Signer).Public(), KeyID: kid})
	}
	var asked atomic.Pointer[cibatest.Request]
	w.op.OnRequest = func(r cibatest.Request) { asked.Store(&r) }
	details := w.write("details.json", `[{"type": "vehicle_settings", "vehicle": "{device}", "settings": "{scope}"}]`)
	w.serve(map[string]string{
		"client-auth": "private-key-jwt", "client-secret-file": "", "client-key": w.path("client.key"), "client-key-id": "jwt-1",
		"client-cert": w.path("client.crt"), "sign-requests": "true", "request-key": w.path("request.key"), "request-key-id": "request-1",
		"resource": "https://settings.example.com https://media.example.com", "audience": "https://api.example.com", "authorization-details": details,
	})
	c := w.car("car-1")
	c.insist(c.signIn(c.hello(), "anna@example.com"), granted)
	p := asked.Load().Params
	if p.Get("authorization_details") == "" || !contains(p.Get("authorization_details"), `"vehicle":"car-1"`, `"settings":["seat"]`) || p.Get("audience") == "" || p.Get("resource") == "" {
		t.Errorf("the provider was asked for %v", p)
	}
}

// check-config says what to register at the provider.
func TestRegistration(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	w.store("client", w.ca.Bridge("b1"))
	tlsFlags, address := w.callback("push")
	_, port, _ := strings.Cut(address, ":")
	for _, c := range []struct{ flags, want map[string]string }{
		{nil, map[string]string{
			"token_endpoint_auth_method": "client_secret_basic", "backchannel_token_delivery_mode": "poll",
			"backchannel_client_notification_endpoint": "", "backchannel_authentication_request_signing_alg": "",
		}},
		{tlsFlags, map[string]string{
			"backchannel_token_delivery_mode": "push", "backchannel_client_notification_endpoint": "https://127.0.0.1:" + port + "/ciba/notification",
		}},
		{map[string]string{"delivery": "ping", "callback": "10.0.0.1:8080", "callback-insecure-http": "true"}, map[string]string{
			"backchannel_token_delivery_mode": "ping", "backchannel_client_notification_endpoint": "https://<the proxy>/ciba/notification",
		}},
		{map[string]string{"client-auth": "tls", "client-secret-file": "", "client-cert": w.path("client.crt"), "client-key": w.path("client.key"), "client-key-id": "k", "sign-requests": "true"}, map[string]string{
			"token_endpoint_auth_method": "tls_client_auth", "tls_client_certificate_bound_access_tokens": "true", "backchannel_authentication_request_signing_alg": "ES256",
		}},
	} {
		code, stdout, stderr := w.main(append(args("check-config", w.with(c.flags)), "--json")...)
		var facts map[string]string
		if err := json.Unmarshal([]byte(stdout), &facts); code != 0 || err != nil {
			t.Errorf("%v: exit status %d, %v: %s", c.flags, code, err, stderr)
		}
		for name, want := range c.want {
			if facts[name] != want {
				t.Errorf("%v: %s is %q, want %q", c.flags, name, facts[name], want)
			}
		}
	}
}
