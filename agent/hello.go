package agent

import (
	"slices"
	"time"

	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/agent/trust"
	"github.com/carillon-iot/carillon/schemas"
)

// hello is the introduction under way, if one is.
type hello struct {
	needed bool           // nothing can be asked before the bridge is introduced
	wanted *schemas.KeyID // a kid to ask for; nothing waits for it
	asked  []schemas.ID   // of the last hellos: a welcome must answer one of them
	tries  int
	due    time.Time
	calm   time.Time // before it, another introduction does not begin at once
}

// maxAsked is how many hellos may be answered late.
const maxAsked = 4

// wantedTries is how often an unknown key is asked for.
const wantedTries = 3

// needHello makes all requests wait for an introduction.
func (a *Agent) needHello(why string) {
	if a.hello.needed {
		return
	}
	a.log.Info("introducing the device to the bridge", "because", why)
	a.hello.needed = true
	a.hello.begin(time.Now())
}

// wantKey asks who has signed with a key, without making anything wait.
func (a *Agent) wantKey(kid schemas.KeyID) {
	if a.hello.needed || a.hello.wanted != nil {
		return
	}
	a.log.Info("asking the bridge for a key", "kid", kid)
	a.hello.wanted = &kid
	a.hello.begin(time.Now())
}

// begin makes a hello due now, or with backoff when the last introduction was
// only just, and did not help.
func (h *hello) begin(now time.Time) {
	h.due = now
	if now.Before(h.calm) {
		h.due = now.Add(backoff(h.tries, slowRepeat))
		return
	}
	h.tries = 0
}

// hurry makes a hello that waits its turn due: somebody waits for it.
func (h *hello) hurry(now time.Time) {
	if h.needed && h.due.After(now.Add(lastRepeat)) {
		h.tries, h.due = 0, now
	}
}

func (h *hello) active() bool { return h.needed || h.wanted != nil }

func (h *hello) reconnected(now time.Time) {
	if h.active() && !now.Before(h.calm) {
		h.tries, h.due = 0, now
	}
}

func (a *Agent) nextHello() time.Time {
	if !a.connected || !a.hello.active() {
		return time.Time{}
	}
	return a.hello.due
}

func (a *Agent) stepHello(now time.Time) {
	h := &a.hello
	if t := a.nextHello(); t.IsZero() || now.Before(t) {
		return
	}
	if !h.needed && h.tries >= wantedTries {
		h.wanted = nil // whoever signs with it will do so again
		return
	}
	m := &schemas.Hello{ID: schemas.NewID(), IssuedAt: schemas.Seconds(a.clock.Now()), Versions: schemas.Speaks(), Wanted: h.wanted}
	if a.bridges != nil {
		m.Seen = &a.bridges.Name
	}
	h.asked = append(h.asked, m.ID)
	if len(h.asked) > maxAsked {
		h.asked = h.asked[1:]
	}
	slowest := slowRepeat
	if len(a.requests) > 0 {
		slowest = lastRepeat
	}
	h.due = now.Add(backoff(h.tries, slowest))
	h.tries++
	if err := a.say(m); err != nil {
		a.log.Error("cannot introduce the device", "error", err)
	}
}

// introduced takes a welcome that bears a chain.
func (a *Agent) introduced(env *schemas.Envelope, raw []byte) {
	b, w, err := trust.Open(env, raw, a.cfg.Roots, a.clock.Verify(), a.log)
	if err != nil {
		a.log.Warn("a welcome is not believed", "error", err)
		return
	}
	if !slices.Contains(a.hello.asked, w.ID) {
		a.log.Debug("a welcome answers no hello of ours", "request", w.ID)
		return
	}
	if err := a.cfg.Store.Put(recordWelcome, raw); err != nil {
		a.log.Error("cannot store the welcome", "error", err)
	}
	a.bridges = b
	a.log.Info("a bridge has introduced itself", "kid", env.KeyID, "welcome", w.Name)
	a.passed(w.IssuedAt, env.Chain[0])
	a.welcomed(w)
}

// welcomed takes what a verified welcome says besides: the bridge knows the
// device, too, and the introduction is over. A welcome without a chain says
// that the one kept is still good.
func (a *Agent) welcomed(w *schemas.Welcome) {
	if !slices.Contains(a.hello.asked, w.ID) || a.bridges == nil || a.bridges.Name != w.Name {
		return
	}
	if _, ok := w.Versions.Common(schemas.Speaks()); !ok {
		a.log.Error("the bridge speaks no version of ours", "bridge", w.Versions, "device", schemas.Speaks())
	}
	now := time.Now()
	a.hello = hello{tries: a.hello.tries, calm: now.Add(time.Minute)}
	if kid := outbox.HexID(a.signer.KeyID()); a.state.Introduced != kid {
		a.note("an introduction", func(s *state) { s.Introduced = kid })
	}
	for _, r := range a.requests {
		if r.stuck {
			r.stuck = false
			r.setback(now)
		}
	}
}

// loadWelcome verifies the stored welcome again.
func (a *Agent) loadWelcome(raw []byte) {
	if raw == nil {
		a.needHello("no bridge has introduced itself yet")
		return
	}
	env, err := schemas.Parse(a.down, raw)
	if err == nil {
		a.bridges, _, err = trust.Open(env, raw, a.cfg.Roots, a.clock.Verify(), a.log)
	}
	if err != nil {
		a.log.Warn("the stored welcome is not believed any more", "error", err)
		a.needHello("the stored welcome is not believed any more")
	}
}
