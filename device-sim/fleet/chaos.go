package fleet

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/device-sim/fleet/report"
)

// chaos kills parts, and starts them again.
type chaos struct {
	cluster *cluster
	load    *load
	tell    func(Event)
	after   time.Duration // the pause before a part is started again

	mu   sync.Mutex // guards done
	done []report.Kill
}

// run does the kills at their times, until ctx ends. It returns when every part
// that was killed is back, or cannot be started.
func (x *chaos) run(ctx context.Context, kills []Kill) {
	var hands sync.WaitGroup
	defer hands.Wait()
	for _, k := range kills {
		for _, p := range x.cluster.named(k) {
			hands.Go(func() {
				select {
				case <-time.After(time.Until(x.load.began.Add(k.At))):
				case <-ctx.Done():
					return
				}
				if err := x.kill(ctx, p); err != nil {
					x.cluster.fail(err)
				}
			})
		}
	}
}

// kill kills a part and waits until it is back. A part that is not back yet from
// the kill before is waited for.
func (x *chaos) kill(ctx context.Context, p *part) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	at := time.Now()
	back := x.note(report.Kill{Part: p.name, At: x.load.since(at)})
	x.tell(Event{At: x.load.since(at), What: "killed", Who: p.name, Text: fmt.Sprintf("the %s is killed (kill -9)", p.name)})
	if err := p.kill(); err != nil {
		return err
	}
	select {
	case <-time.After(x.after):
	case <-ctx.Done():
		return nil // nobody needs it any more
	}
	if err := p.start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	down := time.Since(at)
	back(down)
	x.tell(Event{
		At: x.load.since(time.Now()), What: "back", Who: p.name,
		Text: fmt.Sprintf("the %s is back after %d ms", p.name, down.Milliseconds()),
	})
	return nil
}

// note adds a kill, and returns what is to be told when the part is back.
func (x *chaos) note(k report.Kill) (back func(down time.Duration)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := len(x.done)
	x.done = append(x.done, k)
	return func(down time.Duration) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.done[i].Down = down
	}
}

// kills are those that were done.
func (x *chaos) kills() []report.Kill {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.done
}
