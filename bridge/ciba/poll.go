package ciba

import (
	"errors"
	"fmt"
	"time"
)

const (
	// DefaultInterval is the time between two token requests if the provider
	// names none (CIBA Core section 7.3).
	DefaultInterval = 5 * time.Second
	// SlowDownStep is what each slow_down adds to the interval, for good (CIBA
	// Core section 11).
	SlowDownStep = 5 * time.Second
	// LongPoll is how long a provider may hold a token request before it answers
	// (CIBA Core section 7.3: the client waits at least this long).
	LongPoll = 30 * time.Second
	// MaxBackoff bounds the pause after failed requests.
	MaxBackoff = time.Minute
	// PingFallback is the time between two token requests while a ping is awaited:
	// pings get lost (CIBA Core section 10.2 has no retries).
	PingFallback = 45 * time.Second
	// LastCall is how long before the deadline the last request is sent, so that
	// it meets an auth_req_id that the provider still knows.
	LastCall = 2 * time.Second
	// DenialDoubt is how long before the deadline a denial begins to count as an
	// expiry at providers that call both by the same name, and count the time from a
	// little earlier than we do.
	DenialDoubt = 5 * time.Second
	// LastAnswer is how long after the deadline the answer to the last request is
	// waited for.
	LastAnswer = 2 * time.Second
)

// A Poll is where one sign-in stands between two token requests. It is a plain
// value: keep it in memory, or store its fields and load them elsewhere. At any
// time at most one request may be on its way for one Poll.
type Poll struct {
	// Interval is the least time between the sending of two requests.
	Interval time.Duration
	// Due is the instant from which the next request may be sent.
	Due time.Time
	// Deadline is the instant at which the sign-in is given up: no request is
	// sent at or after it.
	Deadline time.Time
	// Failures counts the requests in a row that the provider could not answer.
	Failures int
	// Lost says that some request may have been answered and the answer was
	// lost. If the provider then no longer knows the auth_req_id, the tokens were
	// in that answer.
	Lost bool
	// Fallback is the least time between the sending of two requests as long as no
	// ping has come; 0 in poll mode.
	Fallback time.Duration
	// Pinged says that a ping has come, see AfterPing.
	Pinged bool
}

// NewPoll returns the state after an acknowledgement received at the instant
// now: first request due after one interval, given up after ack.Lifetime. If the
// interval is the longer of the two the provider can never be asked, which
// Ended(Due) says at once.
func NewPoll(ack Acknowledgement, now time.Time) Poll {
	return newPoll(ack, now, 0)
}

// NewPingPoll is NewPoll for a client with [DeliveryPing]: until a ping comes
// requests are sent only every [PingFallback], and a last one at the end.
func NewPingPoll(ack Acknowledgement, now time.Time) Poll {
	return newPoll(ack, now, PingFallback)
}

func newPoll(ack Acknowledgement, now time.Time, fallback time.Duration) Poll {
	interval := ack.Interval
	if interval <= 0 {
		interval = DefaultInterval
	}
	p := Poll{Interval: interval, Fallback: fallback, Deadline: now.Add(ack.Lifetime())}
	p, outcome := p.schedule(now.Add(p.gap()))
	if outcome.Final() {
		p.Due = p.Deadline // there will be no request, unless a ping comes
	}
	return p
}

// gap is the least time between the sending of two requests as things stand.
func (p Poll) gap() time.Duration {
	if p.Pinged {
		return p.Interval
	}
	return max(p.Interval, p.Fallback)
}

// AfterPing returns the state after a ping that came at the instant now. The
// first ping makes a request due at once: the provider has asked for it, so it
// is not too fast. Should that be answered with "pending" all the same, the
// sign-in goes on as one in poll mode, so that false and repeated pings cause
// nothing more than the interval allows. Further pings, and pings in poll mode,
// change nothing.
//
// If a request is on its way for the Poll, apply AfterPing to what After makes
// of it.
func (p Poll) AfterPing(now time.Time) Poll {
	if p.Fallback == 0 || p.Pinged {
		return p
	}
	p.Pinged = true
	if now.Before(p.Due) {
		p.Due = now
	}
	return p
}

// An Outcome is what a token request did to a sign-in. Its text forms are
// stable and may be stored.
type Outcome string

const (
	// OutcomePending: ask again at Poll.Due.
	OutcomePending Outcome = "pending"
	// OutcomeGranted: the tokens are here.
	OutcomeGranted Outcome = "granted"
	// OutcomeDenied: the person or the provider said no.
	OutcomeDenied Outcome = "denied"
	// OutcomeExpired: nobody decided in time, or too little time is left to ask
	// once more.
	OutcomeExpired Outcome = "expired"
	// OutcomeUnavailable: the time ran out while the provider did not answer.
	OutcomeUnavailable Outcome = "unavailable"
	// OutcomeInterrupted: the person may have agreed, but the answer with the
	// tokens was lost; it cannot be had again.
	OutcomeInterrupted Outcome = "interrupted"
	// OutcomeFailed: the provider refused the request or broke the protocol;
	// asking again cannot help.
	OutcomeFailed Outcome = "failed"
)

// Final reports whether no further request may be sent.
func (o Outcome) Final() bool { return o != OutcomePending }

// Ended returns the outcome at the instant now if the deadline has passed, and
// [OutcomePending] otherwise. Callers ask it before they send a request.
func (p Poll) Ended(now time.Time) Outcome {
	switch {
	case now.Before(p.Deadline):
		return OutcomePending
	case p.Failures > 0:
		return OutcomeUnavailable
	default:
		return OutcomeExpired
	}
}

// GiveUp returns the instant at which a request that is sent at the instant now is
// no longer waited for. A person who was told the deadline must not wait for a
// provider that has stopped answering.
func (p Poll) GiveUp(now time.Time) time.Time {
	most, last := now.Add(TokenTimeout), p.Deadline.Add(LastAnswer)
	if last.Before(most) {
		return last
	}
	return most
}

// After returns the state and the outcome after one token request: sent is the
// instant just before it was sent, now the instant at which it ended, and err
// what [Client.RequestToken] returned. The receiver does not change.
//
// The interval runs from sent, so an answer that took longer than the interval
// (a long poll) makes the next request due at once. slow_down adds
// [SlowDownStep] for good; a Retry-After header and an interval member of the
// error answer can only lengthen the pause. Requests that the provider could
// not answer back off exponentially, but never beyond the deadline if the
// provider permits an earlier one. The last request that fits is put off to
// [LastCall] before the deadline, for a person who decides late. Every other
// error is final. One that is [ErrDenied] as well as [ErrExpired] is an expiry if
// it comes later than [DenialDoubt] before the deadline, and a denial otherwise.
func (p Poll) After(sent, now time.Time, err error) (Poll, Outcome) {
	switch {
	case err == nil:
		return p, OutcomeGranted
	case errors.Is(err, ErrPending), errors.Is(err, ErrUseDPoPNonce):
		return p.afterPending(sent, now, err)
	case errors.Is(err, ErrUnavailable):
		return p.afterFailure(sent, now, err)
	default:
		return p, p.finalOutcome(now, err)
	}
}

func (p Poll) finalOutcome(now time.Time, err error) Outcome {
	denied, expired := errors.Is(err, ErrDenied), errors.Is(err, ErrExpired)
	if denied && expired {
		denied = p.saidNo(now)
	}
	switch {
	case errors.Is(err, ErrInterrupted):
		return OutcomeInterrupted
	case denied:
		return OutcomeDenied
	case p.Lost && (errors.Is(err, ErrInvalidGrant) || expired):
		return OutcomeInterrupted
	case expired:
		return OutcomeExpired
	default:
		return OutcomeFailed
	}
}

// saidNo decides between denied and expired where the provider says the same of
// both: what comes well before the deadline can only be a denial. One that comes
// later is taken for an expiry, because to make somebody who was not there pay for
// a denial is worse than to overlook one.
func (p Poll) saidNo(now time.Time) bool {
	return now.Before(p.Deadline.Add(-DenialDoubt))
}

func (p Poll) afterPending(sent, now time.Time, err error) (Poll, Outcome) {
	p.Failures = 0
	p.Lost = false // the auth_req_id is still good, so nothing was lost
	if errors.Is(err, ErrSlowDown) {
		p.Interval += SlowDownStep
	}
	retryAfter, interval := pace(err)
	p.Interval = max(p.Interval, interval)
	return p.schedule(latest(now, sent.Add(p.gap()), now.Add(retryAfter)))
}

func (p Poll) afterFailure(sent, now time.Time, err error) (Poll, Outcome) {
	p.Failures++
	p.Lost = p.Lost || errors.Is(err, ErrInterrupted)
	retryAfter, interval := pace(err)
	p.Interval = max(p.Interval, interval)
	allowed := latest(now, sent.Add(p.gap()), now.Add(retryAfter))
	wished := now.Add(backoff(p.gap(), p.Failures))
	if last := p.Deadline.Add(-LastCall); wished.After(last) {
		wished = last
	}
	return p.schedule(latest(allowed, wished))
}

// schedule makes the next request due at the instant allowed. A request that
// can only be the last one waits until LastCall; one that would come too late
// is not sent, which ends the sign-in.
func (p Poll) schedule(allowed time.Time) (Poll, Outcome) {
	p.Due = allowed
	last := p.Deadline.Add(-LastCall)
	if allowed.Before(last) && allowed.Add(p.gap()).After(last) {
		p.Due = last
	}
	return p, p.Ended(p.Due)
}

// backoff doubles the interval with each failure, from the interval itself up
// to MaxBackoff.
func backoff(interval time.Duration, failures int) time.Duration {
	d := interval
	for i := 1; i < failures && d < MaxBackoff; i++ {
		d *= 2
	}
	return max(interval, min(d, MaxBackoff))
}

// pace returns what an error answer says about the time of the next request.
func pace(err error) (retryAfter, interval time.Duration) {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter, e.Interval
	}
	return 0, 0
}

func latest(t time.Time, more ...time.Time) time.Time {
	for _, u := range more {
		if u.After(t) {
			t = u
		}
	}
	return t
}

// outcomeError returns the error of a sign-in that ended with o, of the class of
// o. err is the last error; that the person was still free to decide then is no
// longer true and not passed on.
func outcomeError(o Outcome, err error) error {
	class := map[Outcome]error{
		OutcomeDenied:      ErrDenied,
		OutcomeExpired:     ErrExpired,
		OutcomeUnavailable: ErrUnavailable,
		OutcomeInterrupted: ErrInterrupted,
	}[o]
	switch {
	case errors.Is(err, ErrDenied) && errors.Is(err, ErrExpired):
		return decided(err, class)
	case class == nil || errors.Is(err, class):
		return err
	case err == nil || errors.Is(err, ErrPending):
		return class
	default:
		return fmt.Errorf("%w: %w", class, err)
	}
}
