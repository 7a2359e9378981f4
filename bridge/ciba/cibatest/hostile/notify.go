package hostile

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// fallback is when a client that has heard no ping asks by itself.
const fallback = 45 * time.Second

// pings are the misbehaviours of a provider that says when to ask.
func pings() []Group {
	return []Group{
		{"ping too often, too early or too late", Redeemed, granted, []Row{
			{Name: "ping as it should be", Provider: pinging(untouched), Replies: []int{204}},
			{Name: "ping twice", Provider: pinging(twice), Replies: []int{204, 204}},
			{Name: "ping with more in it", Provider: pinging(with("error", "access_denied")), Replies: []int{204}},
			{Name: "ping with another spelling of bearer", Provider: pinging(lowerCase), Replies: []int{204}},
			{Name: "ping with charset", Provider: pinging(withHeader("Content-Type", "application/json; charset=utf-8")), Replies: []int{204}},
			{Name: "ping before the acknowledgement", Provider: deciding("ping", 0), After: atOnce, Replies: []int{204}},
			{Name: "ping before the decision", Provider: crying(time.Second), After: 11 * time.Second, Replies: []int{204, 204}},
			{Name: "ping replayed each second", Provider: crying(1*time.Second, 2*time.Second, 3*time.Second, 4*time.Second, 5*time.Second, 6*time.Second), After: 11 * time.Second, Replies: []int{204, 204, 204, 204, 204, 204, 204}},
			{Name: "ping replayed after the end", Provider: pingingAgain(30 * time.Second), Replies: []int{204, 204}},
			{Name: "ping, with an interval beyond the expiry", Provider: &cibatest.Provider{Delivery: "ping", Interval: time.Hour}, Replies: []int{204}},
			{Name: "ping, but the first poll is slowed down", Provider: slowed(), After: 17 * time.Second, Replies: []int{204}},
		}},
		{"send no ping, or one that proves nothing", Redeemed, granted, []Row{
			ignored("ping lost", pinging(func(cibatest.Notification) sent { return nil })),
			ignored("ping without a token", pinging(withHeader("Authorization", "")), 401),
			ignored("ping with an empty token", pinging(withHeader("Authorization", "Bearer ")), 401),
			ignored("ping with a password", pinging(withHeader("Authorization", "Basic YTpi")), 401),
			ignored("ping with a guessed token", pinging(withHeader("Authorization", "Bearer "+strings.Repeat("x", 43))), 401),
			ignored("ping with a longer token", pinging(func(n cibatest.Notification) sent {
				return sent{n.WithHeader("Authorization", n.Header.Get("Authorization")+"A")}
			}), 401),
			ignored("ping with two tokens", pinging(twoTokens), 401),
			ignored("ping for an unknown request", pinging(with("auth_req_id", "unknown")), 401),
			ignored("ping without auth_req_id", pinging(with("auth_req_id", nil)), 400),
			ignored("ping with a number for auth_req_id", pinging(with("auth_req_id", 7)), 400),
			ignored("ping by GET", pinging(func(n cibatest.Notification) sent { n.Method = http.MethodGet; return sent{n} }), 405),
			ignored("ping as a form", pinging(withHeader("Content-Type", "application/x-www-form-urlencoded")), 415),
			ignored("ping without media type", pinging(withHeader("Content-Type", "")), 415),
			ignored("ping without JSON", pinging(body("{")), 400),
			ignored("ping that is empty", pinging(body("")), 400),
			ignored("ping with a member twice", pinging(func(n cibatest.Notification) sent {
				n.Body = fmt.Sprintf(`{"auth_req_id":"x","auth_req_id":%q}`, n.Request.AuthReqID)
				return sent{n}
			}), 400),
			ignored("ping that is huge", pinging(with("x", strings.Repeat("x", 64<<10))), 413),
		}},
		{"mix up the pings of two people", Redeemed, granted, []Row{
			mixed("ping with another's token", "ping", func(n, other cibatest.Notification) cibatest.Notification {
				return n.WithHeader("Authorization", other.Header.Get("Authorization"))
			}),
			mixed("ping with another's auth_req_id", "ping", func(n, other cibatest.Notification) cibatest.Notification {
				return n.With("auth_req_id", other.Request.AuthReqID)
			}),
		}},
	}
}

type (
	sent = []cibatest.Notification
	edit = func(cibatest.Notification) []cibatest.Notification
)

func untouched(n cibatest.Notification) sent { return sent{n} }
func twice(n cibatest.Notification) sent     { return sent{n, n} }

func with(member string, value any) edit {
	return func(n cibatest.Notification) sent { return sent{n.With(member, value)} }
}

func withHeader(name, value string) edit {
	return func(n cibatest.Notification) sent { return sent{n.WithHeader(name, value)} }
}

func body(text string) edit {
	return func(n cibatest.Notification) sent { n.Body = text; return sent{n} }
}

func lowerCase(n cibatest.Notification) sent {
	return sent{n.WithHeader("Authorization", strings.Replace(n.Header.Get("Authorization"), "Bearer", "bearer", 1))}
}

func twoTokens(n cibatest.Notification) sent {
	n.Header = n.Header.Clone()
	n.Header.Add("Authorization", n.Header.Get("Authorization"))
	return sent{n}
}

func pinging(e edit) *cibatest.Provider {
	return &cibatest.Provider{Delivery: "ping", EditNotification: e}
}

// ignored is a row with a ping of which the client takes no notice.
func ignored(name string, op *cibatest.Provider, replies ...int) Row {
	return Row{Name: name, Provider: op, After: fallback, Replies: replies}
}

// slowed is a provider that pings, and then is not asked nicely enough.
func slowed() *cibatest.Provider {
	return &cibatest.Provider{Delivery: "ping", Token: cibatest.Sequence(cibatest.SlowDown(0, 0))}
}

// deciding is a provider whose person decides that long after the request came.
func deciding(delivery string, after time.Duration) *cibatest.Provider {
	op := &cibatest.Provider{Delivery: delivery, AutoApprove: never}
	op.OnRequest = func(r cibatest.Request) {
		if after == 0 {
			op.Approve(r.AuthReqID)
			return
		}
		time.AfterFunc(after, func() { op.Approve(r.AuthReqID) })
	}
	return op
}

// crying is a provider that also pings where there is nothing to ask for.
func crying(at ...time.Duration) *cibatest.Provider {
	op := &cibatest.Provider{Delivery: "ping", AutoApprove: Approval}
	op.OnRequest = func(r cibatest.Request) {
		for _, d := range at {
			time.AfterFunc(d, func() { op.Send(r.Ping()) })
		}
	}
	return op
}

// pingingAgain is a provider that sends each ping once more, after a while.
func pingingAgain(after time.Duration) *cibatest.Provider {
	op := &cibatest.Provider{Delivery: "ping"}
	op.EditNotification = func(n cibatest.Notification) sent {
		time.AfterFunc(after, func() { op.Send(n) })
		return sent{n}
	}
	return op
}

// mixed is a row in which another person's sign-in is open, and what is sent about
// the one is made of what belongs to the other.
func mixed(name, delivery string, mix func(n, other cibatest.Notification) cibatest.Notification) Row {
	op := &cibatest.Provider{Delivery: delivery, AutoApprove: never}
	op.OnRequest = func(r cibatest.Request) {
		if r.Hint == Person {
			time.AfterFunc(Approval, func() { op.Approve(r.AuthReqID) })
		}
	}
	op.EditNotification = func(n cibatest.Notification) sent {
		for _, r := range op.Requests() {
			if r.Hint == Other {
				return sent{mix(n, r.Ping())}
			}
		}
		return nil
	}
	return Row{Name: name, Provider: op, Others: 1, After: fallback, Replies: []int{401}}
}
