package cibatest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// post sends a form with the client's secret and returns status and members.
func post(t *testing.T, hc *http.Client, url string, form url.Values) (int, map[string]any) {
	t.Helper()
	form.Set("client_id", cibatest.ClientID)
	form.Set("client_secret", cibatest.ClientSecret)
	resp, err := hc.PostForm(url, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return resp.StatusCode, m
}

func ring(t *testing.T, op *cibatest.Provider) string {
	t.Helper()
	status, m := post(t, op.Client(), op.IssuerURL()+"/bc-authorize", url.Values{"scope": {"openid"}, "login_hint": {"anna"}})
	if status != 200 {
		t.Fatalf("bc-authorize: %d %v", status, m)
	}
	return m["auth_req_id"].(string)
}

func poll(t *testing.T, op *cibatest.Provider, id string) any {
	t.Helper()
	status, m := post(t, op.Client(), op.IssuerURL()+"/token", url.Values{
		"grant_type":  {"urn:openid:params:grant-type:ciba"},
		"auth_req_id": {id},
	})
	if status == 200 {
		return "tokens"
	}
	return m["error"]
}

func want(t *testing.T, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{}
		approved, denied, expired := ring(t, op), ring(t, op), ring(t, op)
		want(t, len(op.Requests()), 3)
		want(t, poll(t, op, approved), "authorization_pending")
		want(t, op.Approve(approved) && op.Deny(denied) && op.Expire(expired), true)
		want(t, op.Deny(approved) || op.Approve(denied) || op.Approve(expired) || op.Approve("unknown"), false)
		want(t, poll(t, op, approved), "tokens")
		want(t, poll(t, op, approved), "invalid_grant")
		want(t, poll(t, op, denied), "access_denied")
		want(t, poll(t, op, expired), "expired_token")
		want(t, poll(t, op, "unknown"), "invalid_grant")
		id := ring(t, op)
		time.Sleep(2 * time.Minute)
		want(t, poll(t, op, id), "expired_token")
		want(t, op.Stats(), cibatest.Stats{Backchannel: 4, Token: 7, Rang: 4, Early: 2, AfterEnd: 1, Redeemed: 1})
	})
}

func TestWatchesPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{SlowDown: true}
		id := ring(t, op)
		want(t, poll(t, op, id), "authorization_pending")
		time.Sleep(5*time.Second - 1)
		want(t, poll(t, op, id), "slow_down")
		time.Sleep(9 * time.Second) // the interval is 10 s now
		want(t, poll(t, op, id), "slow_down")
		time.Sleep(15 * time.Second)
		want(t, poll(t, op, id), "authorization_pending")
		want(t, op.Stats().Early, 2)
	})
}

func TestWatchesOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{LongPoll: 30 * time.Second}
		id := ring(t, op)
		answers := make(chan any)
		for range 2 {
			go func() { answers <- poll(t, op, id) }()
			synctest.Wait()
		}
		want(t, <-answers, "authorization_pending") // the early one is not held
		time.Sleep(20 * time.Second)
		op.Approve(id)
		want(t, <-answers, "tokens")
		want(t, op.Stats().Overlapping, 1)
	})
}

// TestServesHTTP: it is an ordinary handler as well.
func TestServesHTTP(t *testing.T) {
	op := &cibatest.Provider{}
	s := httptest.NewServer(op)
	defer s.Close()
	op.Issuer = s.URL
	resp, err := http.Get(s.URL + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(body), `"issuer":"`+s.URL+`"`) {
		t.Errorf("metadata is %s", body)
	}
}

func TestNoWayOut(t *testing.T) {
	op := &cibatest.Provider{}
	for _, u := range []string{"http://op.test/jwks", "https://evil.test/jwks", "https://op.test.evil.test/jwks"} {
		if resp, err := op.Client().Get(u); err == nil {
			resp.Body.Close()
			t.Errorf("%s was answered", u)
		}
	}
}
