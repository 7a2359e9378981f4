package ciba_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// goOIDCDir holds what go-oidc answered.
const goOIDCDir = "testdata/go-oidc"

// TestInteropGoOIDC is about a provider in Go, which has all three modes.
func TestInteropGoOIDC(t *testing.T) {
	authority := mtlstest.New(t)
	clients := goOIDCColumns(t, interopClients(t, authority))
	polls := newTrials(t, authority, ciba.DeliveryPoll, clients)
	pings := newTrials(t, authority, ciba.DeliveryPing, clients)
	pushes := newTrials(t, authority, ciba.DeliveryPush, clients)
	peer := startGoOIDC(t, authority, registered(slices.Concat(polls, pings, pushes)))
	for _, trials := range [][]*interopTrial{polls, pings, pushes} {
		peer.open(t, trials)
	}
	inspectInterop(t, polls)
	rows := interopRows(repeatedProof{refused: ciba.ErrInvalidRequest})
	holdInterop(t, peer.name, goOIDCDir+"/matrix.md", []interopTable{
		runInterop(t, ciba.DeliveryPoll, rows, polls),
		runInterop(t, ciba.DeliveryPing, rows, pings),
		runInterop(t, ciba.DeliveryPush, rows, pushes),
	}, nil)
}

// goOIDCColumns are clients as go-oidc can have them: it has no EdDSA, reads a
// client id up to its first colon even if that is encoded, and knows a
// certificate by its subject or by a DNS name, not by a URI.
func goOIDCColumns(t *testing.T, clients []interopClient) (columns []interopClient) {
	for _, c := range clients {
		if c.idTokenAlg == "EdDSA" {
			c.idTokenAlg = "ES384"
		}
		switch c.name {
		case "client_secret_basic":
			c.id = "till-7+basic"
		case "tls_client_auth":
			columns = append(columns, c.knownBy("subject", map[string]any{
				"tls_client_auth_subject_dn": must(c.right.Certificate()).Leaf.Subject.String(),
			}))
			c.right.Certificate = present(newCertificate(t, tomorrow()))
			c.wrong.Certificate = present(newCertificateFor(t, "till-8"))
			c = c.knownBy("DNS name", map[string]any{"tls_client_auth_san_dns": "till-7.example.com"})
		}
		columns = append(columns, c)
	}
	return columns
}

// knownBy returns c as a client that is known by what metadata says.
func (c interopClient) knownBy(what string, metadata map[string]any) interopClient {
	c = c.with("."+what[:3], metadata)
	c.name += ", " + what
	delete(c.metadata, "tls_client_auth_san_uri")
	return c
}

// handlerTransport calls a handler without a network.
type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	server := r.Clone(r.Context())
	if server.Body == nil {
		server.Body = http.NoBody
	}
	h.ServeHTTP(w, server)
	return w.Result(), nil
}

// TestInteropGoOIDCWait waits as long as the rules want, by the clock of a
// bubble.
func TestInteropGoOIDCWait(t *testing.T) {
	for _, tc := range []struct {
		name   string
		decide *decision // after seven seconds
		want   error
		took   time.Duration
	}{
		{"approved", &decision{}, nil, 10 * time.Second},
		{"denied", &decision{Deny: true}, ciba.ErrDenied, 10 * time.Second},
		{"nobody decided in time", nil, ciba.ErrExpired, time.Minute - ciba.LastCall},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const issuer = "https://foreign.test"
				c := goOIDCColumns(t, interopClients(t, mtlstest.New(t))[:1])[0]
				op := newGoOIDC(t, goOIDCConfig{issuer: issuer, mtlsHost: issuer, clients: []interopClient{c}})
				peer := &interopPeer{issuer: issuer, http: &http.Client{Transport: handlerTransport{op}}, people: op}
				client, start := peer.client(t, c, c.right), time.Now()
				ack := ring(t, client, anna())
				if tc.decide != nil {
					tc.decide.AuthReqID = ack.AuthReqID
					time.AfterFunc(7*time.Second, func() { op.decide(t, *tc.decide) })
				}
				_, err := client.Wait(t.Context(), ack, ciba.Expect{Subject: "anna", RequestedAt: start})
				if tc.want != nil {
					wantClasses(t, err, tc.want)
				} else if err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
			})
		})
	}
}
