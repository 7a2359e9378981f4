package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/luikyv/go-oidc/pkg/goidc"
	op "github.com/luikyv/go-oidc/pkg/provider"

	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// The device flow of RFC 8628, as a vehicle would run it: what Carillon is
// measured against. The server is go-oidc's; the device is a public client,
// without authentication, which costs it nothing.

const (
	flowClient = "carillon-car" // as long as a name of its kind is
	flowPerson = "u-5kq2m7xd"
	flowScope  = "seat climate"
	flowAPI    = "https://127.0.0.1:40443"
)

// deviceServer is an OpenID provider that offers the device grant.
type deviceServer struct {
	*httptest.Server
	handler http.Handler
	ca      *mtlstest.Authority
}

func newDeviceServer(t testing.TB) *deviceServer {
	t.Helper()
	ca := mtlstest.New(t)
	s := &deviceServer{ca: ca, Server: httptest.NewUnstartedServer(nil)}
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*ca.Server("127.0.0.1")}}
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) })
	s.StartTLS()
	t.Cleanup(s.Close)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := goidc.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: "1", Algorithm: string(jose.ES256), Use: "sig"}}}
	quiet := func(http.ResponseWriter, *http.Request) error { return nil }
	p, err := op.New(op.Config{
		Issuer: s.URL, IDTokenAlgs: []goidc.SignatureAlgorithm{goidc.SigAlgES256},
		JWKS: func(context.Context) (goidc.JSONWebKeySet, error) { return keys, nil },
	},
		op.WithDeviceGrant(op.DeviceGrantConfig{PromptFunc: quiet, ConfirmationFunc: quiet}, op.WithDevicePolicies(approval())),
		op.WithScopes(goidc.NewScope("seat"), goidc.NewScope("climate")),
		op.WithResourceIndicators([]goidc.ResourceIndicator{flowAPI}),
		op.WithNoneAuthn(),
		op.WithStaticClients(&goidc.Client{ID: flowClient, ClientMeta: goidc.ClientMeta{
			TokenAuthnMethod: goidc.AuthnMethodNone, ScopeIDs: flowScope, GrantTypes: []goidc.GrantType{goidc.GrantDeviceCode},
		}}),
		op.WithTokenOptions(func(context.Context, *goidc.Grant, *goidc.Client) goidc.TokenOptions {
			return goidc.NewJWTTokenOptions(goidc.SigAlgES256, 900)
		}),
		op.WithJTIConsumer(func(context.Context, string) error { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	s.handler = p.Handler()
	return s
}

// approval lets whoever opens the verification page with a code approve it.
func approval() goidc.AuthnPolicy {
	return goidc.NewPolicy("tap",
		func(*http.Request, *goidc.AuthnSession, *goidc.Client) bool { return true },
		func(_ http.ResponseWriter, _ *http.Request, as *goidc.AuthnSession, _ *goidc.Client) (goidc.Status, error) {
			as.Subject, as.GrantedScopes, as.GrantedResources = flowPerson, as.Scopes, goidc.Resources{flowAPI}
			return goidc.StatusSuccess, nil
		})
}

// flowDevice is the client, with a meter on its connections, below TLS.
type flowDevice struct {
	meter wiretap.Meter
	http  *http.Client
	base  string
}

func newFlowDevice(s *deviceServer) *flowDevice {
	d := &flowDevice{base: s.URL}
	d.http = &http.Client{Transport: &http.Transport{
		TLSClientConfig:    mtls.ClientConfig(s.ca.Roots(), nil, "127.0.0.1"),
		ForceAttemptHTTP2:  true,
		DisableCompression: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return d.meter.Conn(c), nil
		},
	}}
	return d
}

func (d *flowDevice) hangUp() { d.http.CloseIdleConnections() }

// post sends a form as frugally as a vehicle would, and reads the answer.
func (d *flowDevice) post(path string, form url.Values) (map[string]any, error) {
	req, err := http.NewRequest(http.MethodPost, d.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "") // none is sent
	resp, err := d.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		return nil, fmt.Errorf("the connection speaks %s, want HTTP/2", resp.Proto)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	return answer, json.Unmarshal(body, &answer)
}

// flowCost is what one sign-in costs.
type flowCost struct {
	total     wiretap.Count
	handshake wiretap.Count // of the first connection, in total
	token     int           // length of the access token
}

// signIn runs the flow: so many polls that are answered authorization_pending,
// then the approval, then the one that brings the token. Reconnecting hangs up
// after each request, as a device does that sleeps in between.
func (d *flowDevice) signIn(s *deviceServer, polls int, reconnect bool) (flowCost, error) {
	var cost flowCost
	// The handshake alone: a request that costs no more than its headers.
	if _, err := d.http.Head(d.base + "/.well-known/openid-configuration"); err != nil {
		return cost, err
	}
	cost.handshake = d.meter.Count()
	started, err := d.post("/device_authorization", url.Values{"client_id": {flowClient}, "scope": {flowScope}})
	if err != nil {
		return cost, err
	}
	code, _ := started["device_code"].(string)
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {code}, "client_id": {flowClient},
	}
	for i := range polls + 1 {
		if i == polls {
			if err := approve(s, started); err != nil {
				return cost, err
			}
		}
		if reconnect {
			d.hangUp()
		}
		answer, err := d.post("/token", form)
		if err != nil {
			return cost, err
		}
		token, _ := answer["access_token"].(string)
		if problem := answer["error"]; i < polls && problem != "authorization_pending" || i == polls && token == "" {
			return cost, fmt.Errorf("poll %d was answered %v", i, answer)
		}
		cost.token = len(token)
	}
	cost.total = d.meter.Count()
	return cost, nil
}

// approve is the person in front of a browser, on a connection of their own.
func approve(s *deviceServer, started map[string]any) error {
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: mtls.ClientConfig(s.ca.Roots(), nil, "127.0.0.1")}}
	defer browser.CloseIdleConnections()
	code, _ := started["user_code"].(string)
	resp, err := browser.Get(s.URL + "/device?user_code=" + url.QueryEscape(code))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the verification page answered %s", resp.Status)
	}
	return nil
}

// The rival really is the device flow.
func TestDeviceFlow(t *testing.T) {
	s := newDeviceServer(t)
	d := newFlowDevice(s)
	cost, err := d.signIn(s, 3, false)
	if err != nil {
		t.Fatal(err)
	}
	if cost.token < 300 || cost.total.Up == 0 || cost.total.Down == 0 {
		t.Errorf("cost %+v", cost)
	}
	t.Logf("cost %+v", cost)
}
