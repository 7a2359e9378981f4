package agent

import (
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/agent/trust"
	"github.com/carillon-iot/carillon/schemas"
)

// receive takes a message from the down topic. Whatever does not verify is
// dropped: nothing in it may be believed.
func (a *Agent) receive(raw []byte) {
	env, err := schemas.Parse(a.down, raw)
	if err != nil {
		a.log.Warn("a message is dropped", "error", err)
		return
	}
	if env.Chain != nil {
		a.introduced(env, raw)
		return
	}
	m, signer, err := a.bridges.Verify(env, a.clock.Verify())
	switch {
	case errors.Is(err, trust.ErrUnknownKey):
		a.stranger(env)
		return
	case err != nil:
		a.log.Warn("a message is dropped", "error", err)
		return
	}
	a.answer(m, signer)
}

// stranger meets a message of a signer that nobody has introduced. What it
// claims to answer is asked again when that has been put right.
func (a *Agent) stranger(env *schemas.Envelope) {
	a.log.Debug("a message is dropped: its signer is not known", "kid", env.KeyID)
	if r := a.requests[env.Unverified().RequestID()]; r != nil {
		r.stuck = true
	}
	a.wantKey(env.KeyID)
}

func (a *Agent) answer(m schemas.Message, signer *x509.Certificate) {
	switch m := m.(type) {
	case *schemas.Welcome:
		a.welcomed(m)
		a.passed(m.IssuedAt, signer)
	case *schemas.Pending:
		a.pending(m)
	case *schemas.Granted:
		a.granted(m)
	case *schemas.Refused:
		a.passed(m.IssuedAt, signer)
		a.refused(m)
	case *schemas.Revoked:
		a.revoked(m)
	default:
		a.log.Debug("a message is dropped: the device does not offer that", "kind", m.Kind(), "request", m.RequestID())
	}
}

// passed takes note of the time at which a bridge says to have signed. A bridge
// whose clock runs ahead can mislead the device no further than to the end of
// its own certificate.
func (a *Agent) passed(iat uint64, signer *x509.Certificate) {
	t := time.Unix(int64(iat), 0)
	if t.After(signer.NotAfter) {
		t = signer.NotAfter
	}
	if a.clock.Passed(t) {
		a.note("the time", func(*state) {})
	}
}

func (a *Agent) pending(m *schemas.Pending) {
	r := a.requests[m.ID]
	if r == nil || r.entry.SignIn == nil || r.entry.Withdrawn {
		return
	}
	now := time.Now()
	rings := min(time.Duration(m.ExpiresIn)*time.Second, maxRinging)
	if r.state != StateRinging || r.binding != m.Binding {
		a.log.Info("the phone rings", "request", m.ID, "expires_in", rings)
	}
	r.state, r.binding = StateRinging, m.Binding
	r.answered, r.rung = true, true
	r.tries, r.setbacks = 0, 0
	r.expire(now.Add(rings))
	a.rings(r, rings)
	a.changed(r)
}

// rings stores that a bridge has the sign-in, and until when.
func (a *Agent) rings(r *request, left time.Duration) {
	life := max(a.clock.Now().Sub(r.entry.Created), 0).Truncate(time.Second) + left
	if r.entry.Ringing && life <= r.entry.Lifetime+time.Minute {
		return
	}
	r.entry.Ringing, r.entry.Lifetime = true, life
	if err := a.store(r.entry); err != nil {
		a.log.Error("cannot store that the phone rings", "request", r.entry.ID, "error", err)
	}
}

func (a *Agent) granted(m *schemas.Granted) {
	r := a.requests[m.ID]
	if r == nil {
		a.grantedLate(m.ID)
		return
	}
	if r.entry.Renew != nil {
		a.renewed(r, m)
		return
	}
	if r.entry.SignIn == nil {
		return
	}
	grant, err := schemas.OpenGrant(r.entry.SignIn.Key, a.device, m.ID, m.Sealed)
	switch {
	case err != nil:
		a.log.Error("the bridge has signed a grant that does not open", "request", m.ID, "error", err)
		if a.end(r, ended{State: StateUnknown}) {
			a.disown(m.ID)
		}
	case r.entry.Withdrawn:
		if a.end(r, ended{State: StateCancelled}) {
			a.disown(m.ID)
		}
	default:
		a.begin(r, grant)
	}
}

// grantedLate meets a grant of a sign-in that is over, or of which nothing is
// known any more. A session that nobody waits for is ended at the bridge.
func (a *Agent) grantedLate(id schemas.ID) {
	e := a.state.ended(id)
	switch {
	case a.state.session(id) != nil, a.state.renewalIsOver(id), e != nil && (e.State == StateGranted || e.Disowned):
		a.receipt(id) // the last one was lost
	case a.disowning(id):
	default:
		a.log.Warn("a sign-in was approved that nobody waits for any more: signing out", "request", id)
		a.disown(id)
	}
}

func (a *Agent) refused(m *schemas.Refused) {
	r := a.requests[m.ID]
	_, hello := a.hello.answers(m.ID)
	switch {
	case hello:
		a.helloRefused(m)
	case m.Code == schemas.UnknownKey:
		// The device's key, or the one that the hint is sealed to.
		a.hello.afresh = true
		a.needHello("the bridge does not know a key")
		if r != nil {
			r.setback(time.Now())
		}
	case r == nil:
		if m.Code.Final() && (a.state.ended(m.ID) != nil || a.state.followed(m.ID) || a.state.renewalIsOver(m.ID)) {
			a.receipt(m.ID) // the last one was lost
		}
	case m.Code == schemas.ClockSkew:
		a.skewed(r, m)
	case m.Code == schemas.Busy:
		r.answered, r.tries = false, r.tries+1
		r.due = time.Now().Add(max(backoff(r.tries, lastRepeat), time.Duration(m.RetryAfter)*time.Second))
	default:
		a.refusedFinally(r, m)
	}
}

// skewed takes the bridge's time, if this is not an answer seen before.
func (a *Agent) skewed(r *request, m *schemas.Refused) {
	if m.IssuedAt <= r.clocked {
		return
	}
	r.clocked = m.IssuedAt
	a.told(time.Unix(int64(m.IssuedAt), 0))
	r.setback(time.Now())
}

// told takes over the bridge's time. How old a request from before a restart is
// can perhaps be said now.
func (a *Agent) told(t time.Time) {
	a.log.Info("the bridge has said the time", "ours_was_ahead_by", a.clock.Now().Sub(t).Round(time.Second))
	a.clock.Told(t)
	a.note("the time", func(*state) {})
	now := time.Now()
	for _, r := range a.requests {
		a.age(r, now)
	}
}

func (a *Agent) refusedFinally(r *request, m *schemas.Refused) {
	if r.entry.Renew != nil {
		a.notRenewed(r, m)
		return
	}
	if r.entry.SignOut != nil {
		if h := r.entry.SignOut.Person; m.Code == schemas.UnknownPerson && h != nil {
			a.note("an unknown person", func(s *state) { s.People.Forget(*h) })
		}
		a.signedOut(r) // there is nothing, or nothing more, to sign out
		a.receipt(m.ID)
		return
	}
	e := ended{State: StateRefused, Code: m.Code, RetryAfter: m.RetryAfter}
	if m.Code == schemas.Cancelled || r.entry.Withdrawn {
		e.State = StateCancelled
	}
	if a.end(r, e) {
		a.receipt(m.ID)
	}
}

// helloRefused meets a bridge that does not welcome the device.
func (a *Agent) helloRefused(m *schemas.Refused) {
	now := time.Now()
	if m.Code == schemas.ClockSkew {
		a.told(time.Unix(int64(m.IssuedAt), 0))
		a.hello.due = now.Add(backoff(a.hello.tries-1, slowRepeat))
		return
	}
	a.log.Error("the bridge refuses the device", "code", m.Code)
	a.hello.due = now.Add(max(slowRepeat, time.Duration(m.RetryAfter)*time.Second))
	for _, r := range a.requests {
		if r.entry.SignIn != nil && !r.sent && m.Code.Final() {
			a.end(r, ended{State: StateRefused, Code: m.Code, RetryAfter: m.RetryAfter})
		}
	}
}

// revoked forgets sessions, once for each revocation: a copy that a broker kept
// must not sign out who has come since.
func (a *Agent) revoked(m *schemas.Revoked) {
	r := a.requests[m.ID]
	asked := r != nil && r.entry.SignOut != nil
	if a.state.followed(m.ID) {
		a.receipt(m.ID) // the last one was lost
		return
	}
	_, stored := a.leave("the bridge has revoked it",
		func(s *session) bool { return m.All && !asked || slices.Contains(m.Sessions, schemas.ID(s.ID)) },
		func(st *state) { st.follow(m.ID) })
	if !stored {
		return // it comes again
	}
	if asked {
		a.signedOut(r)
	}
	a.receipt(m.ID)
}
