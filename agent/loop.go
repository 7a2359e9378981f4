package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// Run works until ctx ends, and returns nil then. It can be called once.
func (a *Agent) Run(ctx context.Context) error {
	if !a.started.CompareAndSwap(false, true) {
		return errors.New("agent: run before")
	}
	ctx, cancel := context.WithCancel(ctx)
	a.life = ctx
	a.resume() // before the cabin has another owner
	a.hurryLater(time.Now())
	a.workers.Go(func() { a.send(ctx) })
	if a.cabin != nil {
		a.workers.Go(func() { a.cabin.work(ctx) })
	}
	a.loop(ctx)
	cancel()
	a.workers.Wait()
	close(a.stopped)
	a.hub.close()
	return nil
}

func (a *Agent) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-a.calls:
			c.done <- c.f()
		case f := <-a.results:
			f()
		case <-a.inbox.wake:
			for raw, ok := a.inbox.take(); ok; raw, ok = a.inbox.take() {
				a.receive(raw)
			}
		case <-a.line.wake:
			a.lineChanged()
		case <-timer.C:
		}
		a.step(time.Now())
		a.publishStatus()
		if t := a.next(); t.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(time.Until(t), 0))
		}
	}
}

// step does everything that is due.
func (a *Agent) step(now time.Time) {
	a.stepHello(now)
	a.stepHurry(now)
	for _, r := range a.ordered() {
		a.stepRequest(r, now)
	}
	for _, s := range slices.Clone(a.state.Sessions) {
		a.stepSession(schemas.ID(s.ID), now)
	}
}

// next is when something will be due; zero for never.
func (a *Agent) next() time.Time {
	t := earlier(a.nextHello(), a.nextHurry())
	for _, r := range a.requests {
		t = earlier(t, r.next(a.ready()))
	}
	for _, l := range a.live {
		t = earlier(t, l.next())
	}
	return t
}

// ready reports whether requests can be said: the link is up and the bridge is
// introduced.
func (a *Agent) ready() bool { return a.connected && !a.hello.needed }

// call is a function to be run by the loop.
type call struct {
	f    func() error
	done chan error // buffered
}

// do runs f in the loop and returns its error. If ctx ends first, f is not run.
func (a *Agent) do(ctx context.Context, f func() error) error {
	c := call{f, make(chan error, 1)}
	select {
	case a.calls <- c:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-a.stopped:
		return ErrStopped
	}
	select {
	case err := <-c.done:
		return err
	case <-a.stopped:
		return ErrStopped
	}
}

// result hands what another goroutine has found to the loop.
func (a *Agent) result(ctx context.Context, f func()) {
	select {
	case a.results <- f:
	case <-ctx.Done():
	}
}

// Handle takes a message that arrived on a topic, for link.Config.Handler. It
// never blocks; the payload must not be changed after. What does not fit is
// dropped: the bridge says it again.
func (a *Agent) Handle(topic string, payload []byte) {
	if topic != a.down.String() || len(payload) > schemas.MaxDown {
		a.log.Debug("a message is dropped: not for this device, or too large", "topic", topic, "bytes", len(payload))
		return
	}
	if !a.inbox.put(payload) {
		a.log.Warn("a message is dropped: too many at once")
	}
}

// Connected says that the link is up and subscribed, for link.Config.OnUp.
func (a *Agent) Connected() { a.line.set(true) }

// Disconnected says that the link is down, for link.Config.OnDown.
func (a *Agent) Disconnected(error) { a.line.set(false) }

// line is the link's state on its way to the loop. Unlike a queue it never
// loses the last word, and a quick down-and-up is seen as one.
type line struct {
	wake chan struct{}

	mu      sync.Mutex // guards the fields below
	up      bool
	changes uint64
}

func (l *line) set(up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = up
	l.changes++
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *line) get() (up bool, changes uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up, l.changes
}

func (a *Agent) lineChanged() {
	up, changes := a.line.get()
	if changes == a.changes {
		return
	}
	a.changes = changes
	a.out.clear() // what was not sent is said again, if it still matters
	a.connected, a.dirty = up, true
	a.emit(Event{Link: &Link{Connected: up}})
	if !up {
		a.hurryLater(time.Now())
		return
	}
	if err := a.refreshSigner(); err != nil {
		a.log.Error("the device's certificate cannot be used", "error", err)
	}
	now := time.Now()
	a.hello.reconnected(now)
	for _, r := range a.requests {
		r.reconnected(now)
	}
}
