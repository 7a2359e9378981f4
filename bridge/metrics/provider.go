package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// provider are the metrics of the calls of the OpenID provider.
type provider struct {
	calls   map[Call]family[prometheus.Counter] // by result
	seconds family[prometheus.Observer]
	notes   family[prometheus.Counter]
}

// A Call is a kind of request to the provider, by its endpoint.
type Call string

// The calls.
const (
	Authenticate Call = "backchannel_authentication"
	Token        Call = "token"
	Refresh      Call = "refresh" // a token request too, with a refresh token
	Revoke       Call = "revocation"
)

// calls are all of them.
func calls() []Call { return []Call{Authenticate, Token, Refresh, Revoke} }

// A Result is what a call has come to.
type Result string

// The results: good news, what a person decides, and what an operator has to
// look at.
const (
	OK       Result = "ok"
	Waiting  Result = "pending"   // the person has not decided yet
	SlowDown Result = "slow_down" // and the bridge asks too often

	Refused     Result = "denied"
	Late        Result = "expired"
	UnknownUser Result = "unknown_user"

	InvalidClient  Result = "invalid_client"
	InvalidRequest Result = "invalid_request"
	InvalidGrant   Result = "invalid_grant"
	Unavailable    Result = "unavailable" // no connection, a time-out, 429 or 5xx
	Interrupted    Result = "interrupted" // it may have had an effect
	BadIDToken     Result = "id_token"
	BadAnswer      Result = "protocol"
	Stopped        Result = "stopped" // the bridge itself has given up
)

// A Notification is what the provider has reported of a sign-in.
type Notification string

// The notifications: that it has decided, and what.
const (
	Ping Notification = "ping"
	Push Notification = "push"
)

func (s *Set) newProvider() provider {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "provider_calls_total", Help: "Requests to the OpenID provider, by endpoint and result.",
	}, []string{"call", "result"})
	s.registry.MustRegister(vec)
	p := provider{
		calls: map[Call]family[prometheus.Counter]{},
		seconds: s.histograms("provider_call_seconds", "Time of requests to the OpenID provider; one that holds polls takes up to 30 s.", "call",
			texts(calls()...), machineBuckets),
		notes: s.counters("provider_notifications_total", "Pings and pushes of the provider about sign-ins that waited for one.", "kind", texts(Ping, Push)),
	}
	results := texts(OK, Waiting, SlowDown, Refused, Late, UnknownUser, InvalidClient, InvalidRequest, InvalidGrant,
		Unavailable, Interrupted, BadIDToken, BadAnswer, Stopped)
	for _, c := range calls() {
		p.calls[c] = newFamily(results, func(v string) prometheus.Counter { return vec.WithLabelValues(string(c), v) })
	}
	return p
}

// Called counts a request to the provider.
func (s *Set) Called(c Call, r Result, took time.Duration) {
	if s == nil {
		return
	}
	if of, ok := s.provider.calls[c]; ok {
		of.with(string(r)).Inc()
	}
	s.provider.seconds.with(string(c)).Observe(took.Seconds())
}

// Notified counts what the provider has reported of a sign-in that waited for it.
func (s *Set) Notified(n Notification) {
	if s != nil {
		s.provider.notes.with(string(n)).Inc()
	}
}
