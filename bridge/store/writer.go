package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// maxBatch is how many writes share a commit at most.
	maxBatch = 512
	// maxTries is how often a write is tried that is alone, and still in the way of
	// another bridge's, and triesApart a bound of the pauses between.
	maxTries   = 10
	triesApart = 50 * time.Millisecond
)

// A write is one change, all of it or nothing. It may run twice (see commit),
// so it must set its results anew each time.
type write struct {
	change func(*tx) error // nil: it is one of a set
	done   chan error      // buffered; gets exactly one value if the writer took the write

	of    set
	item  any  // as of wants it
	turn  bool // it takes turns with those of other bridges
	about any  // whom or what it changes: of makes one change of each at a time; nil: that does not matter
}

// do has a change committed and returns the error of change or commit. The
// change is not attempted if ctx ends before the writer has taken it in.
func (s *Store) do(ctx context.Context, change func(*tx) error) error {
	return s.submit(ctx, &write{change: change})
}

func (s *Store) submit(ctx context.Context, w *write) error {
	if s.isClosed() {
		return ErrClosed
	}
	if s.meter != nil {
		defer func(from time.Time) { s.meter.Wrote(time.Since(from)) }(time.Now())
	}
	w.done = make(chan error, 1)
	queue := s.writes
	if w.turn {
		queue = s.turns
	}
	select {
	case queue <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return ErrClosed
	case <-s.closed:
		return ErrClosed
	}
	// Until the writer has ended it may be running change, whose results the
	// caller is about to look at.
	select {
	case err := <-w.done:
		return err
	case <-s.stopped:
	}
	select {
	case err := <-w.done:
		return err
	default:
		return ErrClosed
	}
}

// Run commits writes until ctx is done or the store is closed. It is called
// once.
func (s *Store) Run(ctx context.Context) error {
	if !s.takeWriter() {
		return ErrClosed
	}
	defer close(s.stopped)
	aside, end := context.WithCancel(ctx)
	var writers, clock sync.WaitGroup
	for i := range s.writers {
		queue := s.writes
		if i == 0 { // the only one that may have to wait for other bridges
			queue = s.turns
		}
		writers.Go(func() { s.commitAll(ctx, queue) })
	}
	if s.asks != nil {
		clock.Go(func() { s.keepTime(aside) })
	}
	writers.Wait()
	end()
	clock.Wait()
	if s.isClosed() {
		return ErrClosed
	}
	return nil
}

// commitAll commits what comes by a queue.
func (s *Store) commitAll(ctx context.Context, queue <-chan *write) {
	for !s.isClosed() {
		select {
		case w := <-queue:
			if !s.isClosed() {
				s.commit(gather(w, queue))
			}
		case <-s.closed:
		case <-ctx.Done():
			s.drain(queue)
			return
		}
	}
}

// takeWriter reports whether the caller is the first to ask, and so the one that
// has to close stopped.
func (s *Store) takeWriter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.taken
	s.taken = true
	return first
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// drain commits what was taken in before the end.
func (s *Store) drain(queue <-chan *write) {
	select {
	case w := <-queue:
		s.commit(gather(w, queue))
	default:
	}
}

// gather returns first and whatever else waits.
func gather(first *write, queue <-chan *write) []*write {
	batch := []*write{first}
	for len(batch) < maxBatch {
		select {
		case w := <-queue:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// commit makes a batch durable in one transaction. If something is wrong with
// one of its writes, each half gets a transaction of its own, and so on, so that
// one cannot spoil the others.
func (s *Store) commit(batch []*write) {
	err := s.try(batch)
	if err != nil && len(batch) > 1 && !errors.Is(err, ErrUnavailable) {
		s.commit(batch[:len(batch)/2])
		s.commit(batch[len(batch)/2:])
		return
	}
	for tries := 1; errors.Is(err, errContended) && tries < maxTries; tries++ {
		time.Sleep(rand.N(triesApart))
		err = s.try(batch)
	}
	for _, w := range batch {
		w.done <- err
	}
}

func (s *Store) try(batch []*write) (err error) {
	if s.meter != nil {
		defer func(from time.Time) { s.meter.Committed(len(batch), time.Since(from), failure(err)) }(time.Now())
	}
	return s.transact(context.Background(), func(t *tx) error { return t.change(batch) })
}

// failure returns err if it is one of the store, and nil if a change was refused
// for a reason of its own.
func failure(err error) error {
	if errors.Is(err, ErrTooMany) {
		return nil
	}
	return err
}

// transact makes changes in a transaction.
func (s *Store) transact(ctx context.Context, change func(*tx) error) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	in, err := s.begin(ctx)
	if err != nil {
		return s.fault(err)
	}
	t := &tx{engine: s.engine, ctx: ctx, in: in}
	if err := change(t); err != nil {
		return errors.Join(err, s.fault(in.rollback(ctx)))
	}
	return s.fault(in.commit(ctx))
}
