package provider_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// callback is a client's notification endpoint.
type callback struct {
	status int // 0 answers 204
	got    []map[string]any
	bearer []string
}

func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var v map[string]any
	_ = json.Unmarshal(body, &v)
	c.got, c.bearer = append(c.got, v), append(c.bearer, r.Header.Get("Authorization"))
	if c.status == http.StatusFound {
		w.Header().Set("Location", "https://elsewhere.example/")
	}
	if c.status == 0 {
		c.status = http.StatusNoContent
	}
	w.WriteHeader(c.status)
}

// notified is a provider whose one client is notified in the given mode.
func notified(t testing.TB, mode provider.DeliveryMode, cb http.Handler) *rig {
	cfg := config(t)
	cfg.DeliveryModes = []provider.DeliveryMode{provider.Poll, provider.Ping, provider.Push}
	cfg.Clients[0].Delivery, cfg.Clients[0].NotificationURL = mode, "https://bridge.example.com/notify"
	cfg.HTTPClient = &http.Client{
		Transport:     roundTripper{cb},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return newRig(t, cfg)
}

func (r *rig) ringNotified(t testing.TB) (string, provider.Request, answer) {
	t.Helper()
	a := r.post("/bc-authorize", "scope", "openid offline_access", "login_hint", anna, "client_notification_token", "n-1")
	if a.status != 200 {
		t.Fatalf("%d %v", a.status, a.json)
	}
	return a.str("auth_req_id"), r.op.Pending(anna)[0], a
}

func TestPing(t *testing.T) {
	for _, decide := range []string{"approve", "deny"} {
		t.Run(decide, func(t *testing.T) {
			cb := &callback{}
			r := notified(t, provider.Ping, cb)
			id, req, _ := r.ringNotified(t)
			r.poll(id).want(t, 400, "authorization_pending")
			var err error
			if decide == "approve" {
				err = r.op.Approve(t.Context(), req.ID, provider.Approval{})
			} else {
				err = r.op.Deny(t.Context(), req.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(cb.got) != 1 || cb.got[0]["auth_req_id"] != id || cb.bearer[0] != "Bearer n-1" || cb.got[0]["access_token"] != nil {
				t.Fatalf("notified with %v %v", cb.got, cb.bearer)
			}
			if a := r.poll(id); (a.status == 200) != (decide == "approve") { // at once, however fresh the last poll
				t.Errorf("%d %v", a.status, a.json)
			}
		})
	}
}

// A client that cannot be notified finds its tokens by polling.
func TestLostPing(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusFound} {
		cb := &callback{status: status}
		r := notified(t, provider.Ping, cb)
		id, req, _ := r.ringNotified(t)
		if err := r.op.Approve(t.Context(), req.ID, provider.Approval{}); err != nil {
			t.Errorf("status %d: %v", status, err)
		}
		if a := r.poll(id); a.status != 200 || len(cb.got) != 1 {
			t.Errorf("status %d: %d %v after %d notifications", status, a.status, a.json, len(cb.got))
		}
	}
}

func TestPush(t *testing.T) {
	cb := &callback{}
	r := notified(t, provider.Push, cb)
	id, req, ack := r.ringNotified(t)
	if _, ok := ack.json["interval"]; ok {
		t.Errorf("the acknowledgement in push mode has an interval: %v", ack.json)
	}
	r.poll(id).want(t, 403, "unauthorized_client")
	if err := r.op.Approve(t.Context(), req.ID, provider.Approval{}); err != nil {
		t.Fatal(err)
	}
	if len(cb.got) != 1 || cb.bearer[0] != "Bearer n-1" || cb.got[0]["auth_req_id"] != id {
		t.Fatalf("pushed %v %v", cb.got, cb.bearer)
	}
	text := func(name string) string { s, _ := cb.got[0][name].(string); return s }
	half := func(s string) string { sum := sha256.Sum256([]byte(s)); return b64(sum[:16]) }
	typ, claims := r.open(text("id_token"))
	for name, want := range map[string]any{
		"iss": issuer, "sub": anna, "aud": "bridge-1", "acr": provider.DefaultACR,
		"at_hash":                                 half(text("access_token")),
		"urn:openid:params:jwt:claim:rt_hash":     half(text("refresh_token")),
		"urn:openid:params:jwt:claim:auth_req_id": id,
	} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	if _, ok := claims["exp"].(float64); typ != "JWT" || !ok {
		t.Errorf("type %q, exp %v", typ, claims["exp"])
	}
	r.poll(id).want(t, 403, "unauthorized_client")
	if a := r.refresh(text("refresh_token")); a.status != 200 {
		t.Errorf("refresh: %d %v", a.status, a.json)
	}
}

func TestPushOfDenial(t *testing.T) {
	cb := &callback{}
	r := notified(t, provider.Push, cb)
	id, req, _ := r.ringNotified(t)
	if err := r.op.Deny(t.Context(), req.ID); err != nil {
		t.Fatal(err)
	}
	if len(cb.got) != 1 || cb.got[0]["error"] != "access_denied" || cb.got[0]["auth_req_id"] != id {
		t.Errorf("pushed %v", cb.got)
	}
}

// Tokens that the client does not take are lost, and the phone is told.
func TestLostPush(t *testing.T) {
	r := notified(t, provider.Push, &callback{status: 500})
	_, req, _ := r.ringNotified(t)
	if err := r.op.Approve(t.Context(), req.ID, provider.Approval{}); !errors.Is(err, provider.ErrDelivery) {
		t.Errorf("approval: %v", err)
	}
	if err := r.op.Approve(t.Context(), req.ID, provider.Approval{}); !errors.Is(err, provider.ErrDecided) {
		t.Errorf("second approval: %v", err)
	}
}

func TestNotificationTokenIsNeeded(t *testing.T) {
	for _, mode := range []provider.DeliveryMode{provider.Ping, provider.Push} {
		r := notified(t, mode, http.NotFoundHandler())
		r.post("/bc-authorize", "scope", "openid", "login_hint", anna).want(t, 400, "invalid_request")
	}
}

func TestPushIsNotOfferedByDefault(t *testing.T) {
	cfg := config(t)
	cfg.Clients[0].Delivery, cfg.Clients[0].NotificationURL = provider.Push, "https://bridge.example.com/notify"
	if _, err := provider.New(cfg); err == nil {
		t.Error("a client in push mode although the provider offers poll alone")
	}
	// The default client follows no redirect; over a socket, to be sure.
	moved := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer moved.Close()
	cfg = config(t)
	cfg.DeliveryModes = []provider.DeliveryMode{provider.Ping}
	cfg.Clients[0].Delivery, cfg.Clients[0].NotificationURL = provider.Ping, moved.URL
	r := newRig(t, cfg)
	_, req, _ := r.ringNotified(t)
	if err := r.op.Approve(t.Context(), req.ID, provider.Approval{}); err != nil {
		t.Error(err)
	}
}
