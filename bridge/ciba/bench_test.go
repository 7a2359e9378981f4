package ciba_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

var discard = log.New(io.Discard, "", 0)

// bare makes the same two requests with net/http and encoding/json alone. Of all
// the checks it makes at most the one that no client can do without, the ID
// token's signature, with a key it knows beforehand; nil skips that too.
func bare(b *testing.B, hc *http.Client, issuer string, key *ecdsa.PublicKey) {
	b.Helper()
	var ack struct {
		AuthReqID string `json:"auth_req_id"`
		ExpiresIn int    `json:"expires_in"`
		Interval  int    `json:"interval"`
	}
	bareCall(b, hc, issuer+"/bc-authorize", url.Values{
		"scope":           {"openid"},
		"login_hint":      {"anna@example.com"},
		"binding_message": {"4K7-P2X"},
	}, &ack)
	var tokens struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		IDToken     string `json:"id_token"`
	}
	bareCall(b, hc, issuer+"/token", url.Values{
		"grant_type":  {ciba.GrantType},
		"auth_req_id": {ack.AuthReqID},
	}, &tokens)
	if tokens.IDToken == "" || key != nil && !bareVerify(key, tokens.IDToken) {
		b.Fatal("no good ID token")
	}
}

func bareVerify(key *ecdsa.PublicKey, token string) bool {
	i := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	digest := sha256.Sum256([]byte(token[:i]))
	return err == nil && ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

func bareCall(b *testing.B, hc *http.Client, url string, form url.Values, into any) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("client", "secret")
	resp, err := hc.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSignIn compares a whole sign-in (backchannel authentication request,
// token request, everything verified) with bare loops that make the same two
// requests over the same connection: "x-bare" is the ratio to one that verifies
// the ID token's signature and nothing else, "x-blind" to one that does not even
// do that. All alternate, so that the ratios do not depend on the machine's mood.
func BenchmarkSignIn(b *testing.B) {
	op := quick()
	var key *ecdsa.PublicKey
	op.EditIDToken = func(d *cibatest.Draft) { key = &d.Key.(*ecdsa.PrivateKey).PublicKey }
	s, hc := server(b, op, nil)
	client := networkClient(b, op, hc)
	signInNow(b, client)
	var ours, verifying, blind time.Duration
	for b.Loop() {
		t0 := time.Now()
		bare(b, hc, s.URL, key)
		t1 := time.Now()
		bare(b, hc, s.URL, nil)
		t2 := time.Now()
		signInNow(b, client)
		verifying, blind, ours = verifying+t1.Sub(t0), blind+t2.Sub(t1), ours+time.Since(t2)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ours.Microseconds())/float64(b.N), "us/sign-in")
	b.ReportMetric(float64(ours)/float64(verifying), "x-bare")
	b.ReportMetric(float64(ours)/float64(blind), "x-blind")
}

// BenchmarkClient and BenchmarkBare show the allocations of each, with the
// provider's in both.
func BenchmarkClient(b *testing.B) {
	op := quick()
	_, hc := server(b, op, nil)
	client := networkClient(b, op, hc)
	b.ReportAllocs()
	for b.Loop() {
		signInNow(b, client)
	}
}

func BenchmarkBare(b *testing.B) {
	op := quick()
	s, hc := server(b, op, nil)
	b.ReportAllocs()
	for b.Loop() {
		bare(b, hc, s.URL, nil)
	}
}

func BenchmarkVerifyIDToken(b *testing.B) {
	op := quick()
	client := newClient(b, op)
	ack := ring(b, client, anna())
	tokens, err := client.RequestToken(b.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.VerifyIDToken(b.Context(), tokens.IDToken.Raw, ciba.Expect{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPoll(b *testing.B) {
	pending := oauthError(400, ciba.CodeAuthorizationPending)
	poll := ciba.NewPoll(ciba.Acknowledgement{ExpiresIn: time.Hour, Interval: time.Second}, epoch)
	b.ReportAllocs()
	for b.Loop() {
		poll.After(epoch, epoch, pending)
	}
}
