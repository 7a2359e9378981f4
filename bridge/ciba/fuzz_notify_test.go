package ciba_test

import (
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// FuzzNotificationToken: only what Mint made is verified.
func FuzzNotificationToken(f *testing.F) {
	tokens := must(ciba.NewNotificationTokens(notificationKey))
	for _, id := range []string{"s1", "\x00", strings.Repeat("x", 256)} {
		f.Add(must(tokens.Mint(id)))
	}
	for _, seed := range []string{"", ".", "czE.", "czE.AA", "czE.AA.AA", "czF.AA", "c\nzE.AA", strings.Repeat("A", 1025)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if id, ok := tokens.Verify(token); ok && must(tokens.Mint(id)) != token {
			t.Errorf("token is good for %q, but was not minted", id)
		} else if !ok && id != "" {
			t.Error("refused, but not empty")
		}
	})
}

// FuzzNotification: whatever a provider with a good token sends, only pings for
// its sign-in get through, and never is it redirected.
func FuzzNotification(f *testing.F) {
	for _, seed := range []string{
		`{"auth_req_id":"x"}`, `{"auth_req_id":"1c266114"}`, `{"auth_req_id":"1c266114","auth_req_id":"x"}`, `{"auth_req_id":1}`,
		`{"auth_req_id":"1c266114","error":"access_denied"}`, `{"auth_req_id":"1c266114","access_token":"a","token_type":"Bearer","id_token":"a.b.c"}`,
		`{}`, `[]`, ``, "\xff", `{"auth_req_id":"1c266114","error":7}`, `{"auth_req_id":"1c266114","error":"other"}`,
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	desks := map[bool]*desk{}
	for push, mode := range map[bool]string{true: "push", false: "ping"} {
		desks[push] = newDesk(f, &cibatest.Provider{Delivery: mode})
		desks[push].signIns["s1"] = ciba.SignIn{AuthReqID: "1c266114"}
	}
	f.Fuzz(func(t *testing.T, body string, push bool) {
		d := desks[push]
		d.pings, d.pushed, d.errs = nil, nil, nil
		status := d.Handler.(*ciba.NotificationHandler).HandleNotification([]byte(body))
		told := len(d.pings) + len(d.errs)
		for range told {
			<-d.bell // which holds only so many
		}
		switch status {
		case 204:
			if id := plain(t, []byte(body))["auth_req_id"]; id != "1c266114" || told != 1 {
				t.Errorf("accepted for %q, %d calls", id, told)
			}
			if push && (d.pushed[0] != nil || d.errs[0] == nil) { // nobody here can sign
				t.Error("tokens out of nothing")
			}
			if push {
				holdError(t, d.errs[0])
			}
		case 400, 401, 413:
			if told != 0 {
				t.Errorf("refused with %d, but somebody was told", status)
			}
		default:
			t.Errorf("status %d", status)
		}
	})
}
