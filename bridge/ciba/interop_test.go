package ciba_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// These tests run the client, over TLS, against providers that nobody here
// wrote. Every client of a provider, that is every way to authenticate one in
// every delivery mode, goes through the same cases; what the provider answered
// is written down in a table for each mode, and held.

// An interopPeer is a provider that nobody here wrote, and the people who use it:
// anna, and bela who has the user code 2468.
type interopPeer struct {
	name    string // and version
	issuer  string
	http    *http.Client // trusts it
	people  people
	profile profile.Profile // of all clients
	inquire interopClient   // one with a secret
	// remarks are what to know about its answers, by the names of cases.
	remarks map[string]string
}

// people decide at a provider.
type people interface {
	// decide lets the person decide, and returns what the phone showed. Who has
	// decided cannot decide otherwise.
	decide(t *testing.T, d decision) map[string]any
	// lapse lets the time of a request run out, or waits until it has.
	lapse(t *testing.T, authReqID string)
	// brief is a requested expiry that lapse can deal with.
	brief() time.Duration
}

// A decision is what the person does on the phone.
type decision struct {
	AuthReqID string   `json:"auth_req_id"`
	Deny      bool     `json:"deny,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
}

// client returns a client that proves itself with proof.
func (p *interopPeer) client(t *testing.T, c interopClient, proof ciba.Config) *ciba.Client {
	t.Helper()
	proof.Issuer, proof.ClientID, proof.HTTPClient = p.issuer, c.id, p.http
	proof.IDTokenAlgs, proof.Profile = []string{c.idTokenAlg}, p.profile
	client, err := ciba.New(proof)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// introspect asks the provider about an access token of whomever (RFC 7662).
func (p *interopPeer) introspect(t *testing.T, token string) map[string]any {
	t.Helper()
	c := p.inquire
	metadata, err := p.client(t, c, c.right).Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	form, header := url.Values{"token": {token}}, http.Header{}
	if err := c.right.Auth.Authenticate(ciba.Identity{ClientID: c.id, Issuer: p.issuer}, form, header); err != nil {
		t.Fatal(err)
	}
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, metadata.IntrospectionEndpoint, strings.NewReader(form.Encode())))
	req.Header = header
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := p.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return decodeOK(t, resp)
}

func decodeOK(t *testing.T, resp *http.Response) (v map[string]any) {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(body, &v) != nil {
		t.Fatalf("provider answered %d %s", resp.StatusCode, body)
	}
	return v
}

// An interopTrial is a client that tries things: a column of a table.
type interopTrial struct {
	peer    *interopPeer
	as      interopClient
	client  *ciba.Client // of as
	other   *ciba.Client // of another column
	signing *interopTrial
}

// newTrials returns a trial for each of clients, with another one for the same
// client when it is registered to sign its requests. They can try things when
// the peer has opened.
func newTrials(t *testing.T, authority *mtlstest.Authority, mode ciba.DeliveryMode, clients []interopClient) []*interopTrial {
	t.Helper()
	trials := make([]*interopTrial, len(clients))
	for i, c := range clients {
		trials[i] = &interopTrial{
			as:      c.delivered(t, authority, mode),
			signing: &interopTrial{as: c.signs().delivered(t, authority, mode)},
		}
	}
	return trials
}

// registered are the clients that a provider must know for the trials.
func registered(trials []*interopTrial) (clients []interopClient) {
	for _, trial := range trials {
		clients = append(clients, trial.as, trial.signing.as)
	}
	return clients
}

// open lets the trials begin.
func (p *interopPeer) open(t *testing.T, trials []*interopTrial) {
	t.Helper()
	for _, trial := range trials {
		for _, one := range []*interopTrial{trial, trial.signing} {
			one.peer, one.client = p, p.client(t, one.as, one.as.right)
			if one.as.desk != nil {
				one.as.desk.open(t, one.client)
			}
		}
	}
	for i, trial := range trials {
		trial.other = trials[(i+1)%len(trials)].client
	}
}

// An interopSignIn is a request that was acknowledged.
type interopSignIn struct {
	ciba.Acknowledgement
	expect ciba.Expect
	notice *notice // nil in poll mode
}

// ring asks for anna, or for what edit makes of that.
func (c *interopTrial) ring(t *testing.T, edit ...func(*ciba.AuthenticationRequest)) (interopSignIn, error) {
	t.Helper()
	req := anna()
	for _, f := range edit {
		f(&req)
	}
	return c.ringFor(t, req, ciba.Expect{Subject: strings.TrimSuffix(req.LoginHint, "@example.com")})
}

func (c *interopTrial) ringFor(t *testing.T, req ciba.AuthenticationRequest, expect ciba.Expect) (interopSignIn, error) {
	t.Helper()
	s := interopSignIn{expect: expect}
	if c.as.desk != nil {
		s.notice = c.as.desk.expect(t, &req, expect)
	}
	var err error
	if s.Acknowledgement, err = c.client.RequestAuthentication(t.Context(), req); err == nil && s.notice != nil {
		s.notice.authReqID.Store(&s.AuthReqID)
	}
	return s, err
}

// mustRing is ring for a request that cannot fail.
func (c *interopTrial) mustRing(t *testing.T, edit ...func(*ciba.AuthenticationRequest)) interopSignIn {
	t.Helper()
	s, err := c.ring(t, edit...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (c *interopTrial) decide(t *testing.T, s interopSignIn, deny bool) map[string]any {
	t.Helper()
	return c.peer.people.decide(t, decision{AuthReqID: s.AuthReqID, Deny: deny})
}

// collect returns what came of a decision, which push has brought and the other
// modes ask for.
func (c *interopTrial) collect(t *testing.T, s interopSignIn) (*ciba.Tokens, error) {
	t.Helper()
	if c.as.right.Delivery == ciba.DeliveryPush {
		return s.notice.push()
	}
	return c.ask(t, s)
}

// ask asks at the token endpoint.
func (c *interopTrial) ask(t *testing.T, s interopSignIn) (*ciba.Tokens, error) {
	t.Helper()
	return c.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: s.AuthReqID, Expect: s.expect})
}

// signIn rings, approves and collects.
func (c *interopTrial) signIn(t *testing.T, edit ...func(*ciba.AuthenticationRequest)) (*ciba.Tokens, error) {
	t.Helper()
	s, err := c.ring(t, edit...)
	if err != nil {
		return nil, err
	}
	c.decide(t, s, false)
	return c.collect(t, s)
}
