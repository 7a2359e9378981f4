package agent

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/agent/trust"
	"github.com/carillon-iot/carillon/schemas"
)

// hello is the introduction under way, if one is.
type hello struct {
	needed bool           // nothing can be asked before the bridge is introduced
	afresh bool           // the welcome that is kept may be what is wrong: it is not named
	wanted *schemas.KeyID // a kid to ask for; alone, nothing waits for it
	wants  time.Time      // when a kid was asked for last
	asked  []asked        // the last hellos without an answer: a welcome must answer one of them
	last   time.Time      // when the last was sent
	tries  int            // of this introduction
	due    time.Time
	heat   int // hellos since there was a pause of calm: the reason for backoff
}

// asked is a hello that was sent.
type asked struct {
	id schemas.ID
	at time.Time
}

// maxAsked is how many hellos may be answered late.
const maxAsked = 4

// prompt is how soon an answer must come for the bridge's time in it to be
// taken for the time now.
const prompt = 30 * time.Second

// After calm without a hello, freeHellos introductions begin at once. More must
// wait, with backoff: they do not seem to help.
const (
	calm       = 5 * time.Minute
	freeHellos = 3
)

// An unknown key is asked for at most once in wantedPause, and wantedTries times.
const (
	wantedPause = time.Minute
	wantedTries = 3
)

// needHello makes all requests wait for an introduction.
func (a *Agent) needHello(why string) {
	if a.hello.needed {
		return
	}
	a.log.Info("introducing the device to the bridge", "because", why)
	a.hello.needed, a.dirty = true, true
	a.hello.begin(time.Now())
}

// wantKey asks who has signed with a key, without making anything wait.
func (a *Agent) wantKey(kid schemas.KeyID) {
	h := &a.hello
	switch {
	case h.wanted != nil:
	case h.needed:
		h.wanted = &kid // the answer to the next hello bears a chain
	default:
		a.log.Info("asking the bridge for a key", "kid", kid)
		h.wanted = &kid
		h.begin(time.Now())
	}
}

// begin makes a hello due now, or with backoff when there were many lately.
func (h *hello) begin(now time.Time) {
	h.tries, h.due = 0, now
	if now.Sub(h.last) > calm {
		h.heat = 0
	}
	if h.heat >= freeHellos {
		h.due = now.Add(backoff(h.heat-freeHellos, slowRepeat))
	}
	if again := h.wants.Add(wantedPause); !h.needed && h.due.Before(again) {
		h.due = again
	}
}

// hurry makes a hello that waits its turn due: somebody waits for it.
func (h *hello) hurry(now time.Time) {
	if h.needed && h.due.After(now.Add(lastRepeat)) {
		h.tries, h.due = 0, now
	}
}

func (h *hello) active() bool { return h.needed || h.wanted != nil }

func (h *hello) reconnected(now time.Time) {
	if h.active() {
		h.begin(now)
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
	if a.bridges != nil && !h.afresh {
		m.Seen = &a.bridges.Name
	}
	h.last = now
	h.asked = append(h.asked, asked{m.ID, now})
	if len(h.asked) > maxAsked {
		h.asked = h.asked[1:]
	}
	if h.wanted != nil {
		h.wants = now
	}
	h.due = now.Add(a.helloPause())
	h.tries++
	h.heat++
	if err := a.say(m); err != nil {
		a.log.Error("cannot introduce the device", "error", err)
	}
}

// helloPause is how long the hello that is said now waits for its answer.
func (a *Agent) helloPause() time.Duration {
	switch {
	case !a.hello.needed:
		return wantedPause + rand.N(wantedPause/5)
	case len(a.requests) > 0:
		return backoff(a.hello.tries, lastRepeat)
	}
	return backoff(a.hello.tries, slowRepeat)
}

// answers reports whether a welcome, or a refusal, answers one of the last
// hellos, and when that was sent.
func (h *hello) answers(id schemas.ID) (time.Time, bool) {
	i := slices.IndexFunc(h.asked, func(x asked) bool { return x.id == id })
	if i < 0 {
		return time.Time{}, false
	}
	return h.asked[i].at, true
}

// done ends an introduction. An answer to the same hello, or to one before it,
// would bring back what has been replaced.
func (h *hello) done(id schemas.ID) {
	h.needed, h.afresh, h.wanted = false, false, nil
	i := slices.IndexFunc(h.asked, func(x asked) bool { return x.id == id })
	h.asked = slices.Delete(h.asked, 0, i+1)
}

// tune takes the time from a prompt welcome if the device's own is a guess, or
// would be refused. It saves a clock_skew.
func (a *Agent) tune(iat uint64) {
	bridge := time.Unix(int64(iat), 0)
	if !a.clock.Sure() || schemas.Fresh(schemas.Seconds(a.clock.Now()), bridge) != nil {
		a.told(bridge)
	}
}

// introduced takes a welcome that bears a chain.
func (a *Agent) introduced(env *schemas.Envelope, raw []byte) {
	b, w, err := trust.Open(env, raw, a.cfg.Roots, a.clock.Verify(), a.log)
	if err != nil {
		a.log.Warn("a welcome is not believed", "error", err)
		return
	}
	if _, ok := a.hello.answers(w.ID); !ok {
		a.log.Debug("a welcome answers no hello of ours", "request", w.ID)
		return
	}
	if err := a.cfg.Store.Put(recordWelcome, raw); err != nil {
		a.log.Error("cannot store the welcome", "error", err)
	}
	a.bridges = b
	a.log.Info("a bridge has introduced itself", "kid", env.KeyID, "welcome", w.Name)
	a.welcomed(w)
	a.passed(w.IssuedAt, env.Chain[0])
}

// welcomed takes what a verified welcome says besides: the bridge knows the
// device, too, and the introduction is over. A welcome without a chain says
// that the one kept is still good.
func (a *Agent) welcomed(w *schemas.Welcome) {
	at, ok := a.hello.answers(w.ID)
	if !ok || a.bridges == nil || a.bridges.Name != w.Name {
		return
	}
	if time.Since(at) < prompt {
		a.tune(w.IssuedAt)
	}
	if _, ok := w.Versions.Common(schemas.Speaks()); !ok {
		a.log.Error("the bridge speaks no version of ours", "bridge", w.Versions, "device", schemas.Speaks())
	}
	now := time.Now()
	a.hello.done(w.ID)
	a.dirty = true
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
