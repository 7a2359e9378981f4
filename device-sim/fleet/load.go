package fleet

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-iot/carillon/device-sim/fleet/arrivals"
	"github.com/carillon-iot/carillon/device-sim/fleet/report"
)

// load is the sign-ins of a run. Whoever sits down takes the device that has been
// idle for longest.
type load struct {
	plan   arrivals.Plan
	expiry time.Duration

	signIns []signIn
	free    chan *device // idle, in the order in which they became so
	began   time.Time    // set before the first is asked
	starved int          // arrivals for which no device was idle
	fail    func(error)  // told why nobody can ask any more

	asked, ringing atomic.Int64
	ended          [len(outcomes)]atomic.Int64 // by place in outcomes
	idle           chan struct{}               // holds a token when a sign-in has ended
}

// outcomes are the ends that are counted while a run goes on.
var outcomes = [...]report.Outcome{report.Granted, report.Denied, report.Expired, report.Refused, report.Lost}

func newLoad(cfg Config, fail func(error)) *load {
	return &load{
		plan: cfg.Plan, expiry: cfg.Expiry, signIns: make([]signIn, cfg.Plan.Count),
		free: make(chan *device, cfg.Devices), fail: fail, idle: make(chan struct{}, 1),
	}
}

// since is a moment as sign-ins have it.
func (l *load) since(t time.Time) time.Duration { return t.Sub(l.began) }

// run asks for every sign-in at its time, until ctx ends, and returns how many
// were asked for.
func (l *load) run(ctx context.Context) (asked int) {
	var asking sync.WaitGroup
	defer asking.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, due := range l.plan.All() {
		timer.Reset(time.Until(l.began.Add(due)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return i
		}
		d, ok := l.take(ctx)
		if !ok {
			return i
		}
		s := &l.signIns[i]
		s.Due, s.device, s.asked = due, d.number, l.since(time.Now())
		s.Outcome = report.Open
		l.asked.Add(1)
		asking.Go(func() {
			// The end of ctx ends a load, and no sign-in that has begun.
			if err := d.ask(context.WithoutCancel(ctx), s, l.expiry); err != nil {
				l.fail(err)
			}
		})
	}
	return len(l.signIns)
}

// take returns an idle device. An arrival that must wait for one makes those
// after it wait, too; all are measured from when they were due.
func (l *load) take(ctx context.Context) (*device, bool) {
	select {
	case d := <-l.free:
		return d, true
	default:
		l.starved++
	}
	select {
	case d := <-l.free:
		return d, true
	case <-ctx.Done():
		return nil, false
	}
}

// over is told of the end of a sign-in, once.
func (l *load) over(d *device, o report.Outcome) {
	l.ended[slices.Index(outcomes[:], o)].Add(1)
	l.free <- d
	select {
	case l.idle <- struct{}{}:
	default:
	}
}

// open is how many sign-ins are not over.
func (l *load) open() int {
	n := l.asked.Load()
	for i := range l.ended {
		n -= l.ended[i].Load()
	}
	return int(n)
}

// settle waits until every sign-in is over, ctx ends, or it has gone on for
// longer than any agent does.
func (l *load) settle(ctx context.Context) {
	timer := time.NewTimer(2*l.expiry + grace)
	defer timer.Stop()
	for l.open() > 0 {
		select {
		case <-l.idle:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// grace is how long after the expiry the agent has given up for certain: it goes
// on to ask for three quarters of a minute. The expiry counts from when a bridge
// has taken the request on, which may be as late as the expiry allows.
const grace = time.Minute

// progress is how far the load is.
func (l *load) progress(now time.Time) Progress {
	count := func(i int) int { return int(l.ended[i].Load()) }
	var at time.Duration
	if l.asked.Load() > 0 {
		at = l.since(now)
	}
	return Progress{
		At: at, Asked: int(l.asked.Load()), Rang: int(l.ringing.Load()), Granted: count(0), Denied: count(1),
		Expired: count(2), Refused: count(3), Lost: count(4), Open: l.open(),
	}
}
