package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carillon-iot/carillon/schemas"
)

// requests are the metrics of what devices ask for.
type requests struct {
	rings             prometheus.Counter
	ended             map[Request]family[prometheus.Counter] // by outcome
	suppressed, busy  family[prometheus.Counter]
	open              map[string]prometheus.Gauge // by state
	stages, decision  family[prometheus.Observer]
	receipt, lateness prometheus.Histogram
}

// A Request is what a device asks for.
type Request string

// The requests.
const (
	SignIn  Request = "sign_in"
	Renewal Request = "renewal"
	SignOut Request = "sign_out"
)

// The outcomes of a request that are no names of a [schemas.Code].
const (
	Granted   = "granted"
	Renewed   = "renewed"
	SignedOut = "signed_out"
)

// A Suppression is why no phone rings for a sign-in that was in order.
type Suppression string

// The reasons for a suppression.
const (
	DeviceQuota    Suppression = "device_quota"
	PersonQuota    Suppression = "person_quota"
	ProviderQuota  Suppression = "provider_quota"
	AlreadyRinging Suppression = "already_ringing" // another request rings for the person
	CoolDown       Suppression = "cool_down"       // the person said no, not long ago
	Duplicate      Suppression = "duplicate"       // the request has rung already, or is about to
)

// A Shortage is why a request was told to come back.
type Shortage string

// The reasons for it.
const (
	OpenLimit   Shortage = "open"     // as many sign-ins as may be open
	CallLimit   Shortage = "calls"    // as many authentication requests as may be on their way
	PushQuota   Shortage = "quota"    // as many pushes as the provider takes in all
	Provider    Shortage = "provider" // the provider does not answer
	Renewals    Shortage = "renewals" // as many renewals as may be on their way
	DeviceLimit Shortage = "device"   // as many requests as one device may have
	SessionBusy Shortage = "session"  // another request renews the session
	StoreFails  Shortage = "store"    // the store does not answer
	Draining    Shortage = "draining" // the bridge is about to end
)

// A Stage is a part of a sign-in that the bridge is responsible for. They follow
// one another in this order; between Accept and Pending the provider is called,
// and between Pending and Answer the person decides.
type Stage string

// The stages.
const (
	Queue   Stage = "queue"   // from the arrival of a message to the beginning of work on it
	Accept  Stage = "accept"  // to the record that the phone is about to ring: policy and quotas
	Pending Stage = "pending" // from the acknowledgement of the provider to its record
	Answer  Stage = "answer"  // from the person's decision to the record of the sealed answer
	Publish Stage = "publish" // from the record of an answer to the broker's acknowledgement
	Receipt Stage = "receipt" // the recording of a device's receipt
)

// A Decision is how a person has decided.
type Decision string

// The decisions.
const (
	Approved Decision = "approved"
	Denied   Decision = "denied"
)

func (s *Set) newRequests() requests {
	outcomes := []string{Granted, Renewed, SignedOut}
	for _, c := range schemas.Codes() {
		if c.Final() {
			outcomes = append(outcomes, c.String())
		}
	}
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "requests_total", Help: "Requests of devices that were answered finally, by kind and outcome.",
	}, []string{"kind", "outcome"})
	s.registry.MustRegister(vec)
	ended := make(map[Request]family[prometheus.Counter])
	for _, r := range []Request{SignIn, Renewal, SignOut} {
		ended[r] = newFamily(outcomes, func(v string) prometheus.Counter { return vec.WithLabelValues(string(r), v) })
	}
	return requests{
		rings: s.counter("pushes_total", "Authentication requests that were about to be sent to the provider: phones that ring."),
		ended: ended,
		busy: s.counters("requests_busy_total", "Requests that were told to come back, by what there was not enough of.", "reason",
			texts(OpenLimit, CallLimit, PushQuota, Provider, Renewals, DeviceLimit, SessionBusy, StoreFails, Draining)),
		suppressed: s.counters("pushes_suppressed_total", "Sign-ins in order for which no phone rang, by reason.", "reason",
			texts(DeviceQuota, PersonQuota, ProviderQuota, AlreadyRinging, CoolDown, Duplicate)),
		open: s.gauges("requests_open", "Requests in the store, by state; the same for all bridges that share it.", "state",
			[]string{"ringing", "waiting", "renewing", "answered"}),
		stages: s.histograms("stage_seconds", "Time of each stage of a sign-in that is a machine's.", "stage",
			texts(Queue, Accept, Pending, Answer, Publish, Receipt), machineBuckets),
		decision: s.histograms("decision_seconds", "Time from the provider's acknowledgement to the person's decision, as the bridge heard of it.", "decision",
			texts(Approved, Denied), peopleBuckets),
		receipt:  s.histogram("receipt_seconds", "Time from the record of a grant to the record of its receipt.", radioBuckets),
		lateness: s.histogram("poll_lateness_seconds", "How long ago the oldest poll of each batch had become due when the batch was claimed.", machineBuckets),
	}
}

// Rings counts a push.
func (s *Set) Rings() {
	if s != nil {
		s.requests.rings.Inc()
	}
}

// Ended counts a request that was answered finally: Granted, Renewed, SignedOut
// or the name of a code.
func (s *Set) Ended(what Request, outcome string) {
	if s == nil {
		return
	}
	if of, ok := s.requests.ended[what]; ok {
		of.with(outcome).Inc()
	}
}

// Busy counts a request that was told to come back.
func (s *Set) Busy(why Shortage) {
	if s != nil {
		s.requests.busy.with(string(why)).Inc()
	}
}

// Suppressed counts a sign-in for which no phone rings.
func (s *Set) Suppressed(why Suppression) {
	if s != nil {
		s.requests.suppressed.with(string(why)).Inc()
	}
}

// Open says how many requests there are in a state: "ringing", "waiting",
// "renewing" or "answered".
func (s *Set) Open(state string, n int) {
	if s == nil {
		return
	}
	if g, ok := s.requests.open[state]; ok {
		g.Set(float64(n))
	}
}

// Stage says how long a stage took.
func (s *Set) Stage(which Stage, took time.Duration) {
	if s != nil {
		s.requests.stages.with(string(which)).Observe(took.Seconds())
	}
}

// Decided says how long a person took to decide.
func (s *Set) Decided(how Decision, took time.Duration) {
	if s != nil {
		s.requests.decision.with(string(how)).Observe(took.Seconds())
	}
}

// Receipted says how long it took until a device had its grant.
func (s *Set) Receipted(took time.Duration) {
	if s != nil {
		s.requests.receipt.Observe(took.Seconds())
	}
}

// PollLate says how late the oldest of a batch of polls was.
func (s *Set) PollLate(by time.Duration) {
	if s != nil {
		s.requests.lateness.Observe(by.Seconds())
	}
}
