package cibatest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// An inbox accepts every notification.
type inbox struct{ bodies []map[string]any }

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m map[string]any
	if r.Method != "POST" || r.Header.Get("Authorization") != "Bearer "+strings.Repeat("t", 43) || json.NewDecoder(r.Body).Decode(&m) != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	b.bodies = append(b.bodies, m)
	w.WriteHeader(http.StatusNoContent)
}

func ringWith(t *testing.T, op *cibatest.Provider, token string) (int, string) {
	t.Helper()
	form := url.Values{"scope": {"openid"}, "login_hint": {"anna"}}
	if token != "" {
		form.Set("client_notification_token", token)
	}
	status, m := post(t, op.Client(), op.IssuerURL()+"/bc-authorize", form)
	id, _ := m["auth_req_id"].(string)
	return status, id
}

func TestNotifies(t *testing.T) {
	for _, mode := range []string{"ping", "push"} {
		box := &inbox{}
		op := &cibatest.Provider{Delivery: mode, Endpoint: box}
		token := strings.Repeat("t", 43)
		_, approved := ringWith(t, op, token)
		_, denied := ringWith(t, op, token)
		want(t, op.Approve(approved) && op.Deny(denied) && !op.Approve(denied), true)
		want(t, slices.Equal(op.Replies(), []int{204, 204}), true)
		want(t, len(box.bodies), 2)
		want(t, box.bodies[0]["auth_req_id"], approved)
		want(t, box.bodies[0]["id_token"] != nil, mode == "push")
		want(t, box.bodies[1]["error"] == "access_denied", mode == "push")
		want(t, poll(t, op, approved), map[string]any{"ping": "tokens", "push": "unauthorized_client"}[mode])
	}
}

func TestWantsNotificationToken(t *testing.T) {
	for mode, tokens := range map[string]map[string]int{
		"":     {"": 200, strings.Repeat("t", 43): 400},
		"ping": {"": 400, "short": 400, strings.Repeat("t", 43) + " ": 400, strings.Repeat("t", 1025): 400, strings.Repeat("t", 43): 200},
	} {
		for token, status := range tokens {
			got, _ := ringWith(t, &cibatest.Provider{Delivery: mode}, token)
			want(t, got, status)
		}
	}
}
