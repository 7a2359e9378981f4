package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/device-sim/scenario/script"
	"github.com/carillon-iot/carillon/device-sim/world"
)

// Options say how a scenario is run. The zero value is usable.
type Options struct {
	// Seed decides what the people in it leave to chance: how long they think.
	Seed uint64
	// World is where it is played. Its Clocks, Interval and BridgeProcess are
	// the script's to set.
	World world.Config
	// Step is told of each step before it is taken. Nil tells nobody.
	Step func(script.Step)
}

// The outcomes.
const (
	Passed = "passed"
	Failed = "failed"
)

// A Result is what came of a scenario.
type Result struct {
	Scenario string
	Outcome  string
	// Problem is the step that failed and why; nil if the scenario passed.
	Problem error
	// Answers are how the sign-ins ended, in the order of their beginning:
	// "granted", "cancelled", "refused: access denied"; or "open".
	Answers []string
	// Up and Down are the bytes of MQTT that all cars' radios carried from the
	// first step on.
	Up, Down int64
	// Pushes is how many requests the provider accepted for all people.
	Pushes int
	// Took is the time from the first step to the last, Start what it took to
	// build the world before.
	Took, Start time.Duration
	Seed        uint64
}

// A StepError is a step that could not be taken, or an expectation that was not
// met.
type StepError struct {
	Step script.Step
	Err  error
}

func (e *StepError) Error() string {
	return fmt.Sprintf("line %d: %s: %v", e.Step.Line, e.Step.Text, e.Err)
}

// Unwrap returns what went wrong.
func (e *StepError) Unwrap() error { return e.Err }

// Run plays a scenario. The error is ctx's, or says that the world could not be
// built or taken down; a scenario that failed is no error but a Result.
func Run(ctx context.Context, sc Scenario, opts Options) (Result, error) {
	r := Result{Scenario: sc.Name, Seed: opts.Seed}
	s := newStage(opts.World, sc.Name, opts.Seed)
	began := time.Now()
	steps := sc.Steps
	for len(steps) > 0 && steps[0].Kind == script.Given {
		if err := phraseOf(steps[0]).do(ctx, s, steps[0].Args); err != nil {
			return r, &StepError{steps[0], err}
		}
		steps = steps[1:]
	}
	var err error
	if s.world, err = world.Start(ctx, s.cfg); err != nil {
		return r, fmt.Errorf("building the world: %w", err)
	}
	r.Start = time.Since(began)
	r.Problem = s.play(ctx, steps, opts.Step, &r)
	r.Outcome, r.Answers = Passed, s.answers()
	if r.Problem != nil {
		r.Outcome = Failed
	}
	if err := s.world.Close(); err != nil {
		return r, fmt.Errorf("taking the world down: %w", err)
	}
	return r, ctx.Err()
}

func phraseOf(st script.Step) phrase { return table()[st.Phrase] }

var table = sync.OnceValue(phrases)

// play takes the steps, and measures.
func (s *stage) play(ctx context.Context, steps []script.Step, tell func(script.Step), r *Result) error {
	before, began := s.world.Radio(), time.Now()
	defer func() {
		r.Took = time.Since(began)
		s.settle(ctx)
		cost := s.world.Radio().Sub(before)
		r.Up, r.Down, r.Pushes = cost.Up, cost.Down, s.world.Pushes()
	}()
	for _, st := range steps {
		if tell != nil {
			tell(st)
		}
		err := s.take(ctx, st)
		s.note()
		if err != nil {
			return &StepError{st, err}
		}
	}
	return nil
}

func (s *stage) take(ctx context.Context, st script.Step) error {
	do := phraseOf(st).do
	if st.Kind != script.See {
		return errors.Join(do(ctx, s, st.Args), s.world.Err())
	}
	within := st.Within
	if within == 0 {
		within = patience
	}
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return s.world.Await(wait, func() error { return do(wait, s, st.Args) })
}
