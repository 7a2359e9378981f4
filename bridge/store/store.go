// Package store keeps what a bridge must not lose when it dies: the requests of
// devices and what became of them, the certificates of devices, the people they
// have signed in, sessions, quotas.
//
// # Requests
//
// A request is one row. Its state says what it waits for, and its due_at when
// somebody must look at it next:
//
//	ringing   about to be, or being, given to the provider; due when that must
//	          have ended one way or the other
//	waiting   for the person; due for the next poll
//	renewing  a session: about to spend, or spending, its refresh token; due when
//	          that must have ended one way or the other
//	answered  finally; due to be published again, until the device's receipt
//	done      and over; due to be forgotten, when it can no longer be repeated
//
// Every change of state is a compare-and-set, so whoever comes second (another
// bridge, a slow one, a cancel) changes nothing and is told so. Due rows are
// claimed in batches by one UPDATE that puts their due_at off, so nobody owns a
// row and nothing need be handed over.
//
// # Engines
//
// The state is in an [SQLite] file, for one bridge, or in a [Postgres] database,
// which any number of bridges share. The statements are the same; what differs
// is data of the engine.
//
// # Writing
//
// All writes go through [Store.Run], which commits what has gathered while the
// last commit was on its way: many steps of many sign-ins share one wait for the
// disk, and steps of the same kind share their statements. What begins at a
// provider waits for its turn among all bridges, in a queue of its own, so that
// what the provider has to do is counted exactly. A method that writes returns
// once its change is durable. If it returns an error, the change was not made, or
// with [ErrUnavailable] it may have been made: the answer to a commit can be lost
// with the connection.
//
// # Secrets
//
// Hints, names, tokens and auth_req_ids are encrypted under a [Keyring] and
// bound to their row. People are indexed by keyed hashes. The store never sees
// an access token but inside a sealed answer.
package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Config says where the state is.
type Config struct {
	// Database is an SQLite or Postgres. Required.
	Database Database
	// Keys encrypt what is secret. Required; see NewKeyring.
	Keys *Keyring
	// Meter hears how the store works; nil means that nobody wants to know.
	Meter Meter
}

// A Meter hears how a store works. It is called concurrently, and must return at
// once. *metrics.Set is one.
type Meter interface {
	// Committed says how long a transaction of so many changes took.
	Committed(changes int, took time.Duration, err error)
	// Wrote says how long it took until one change was durable, or failed.
	Wrote(took time.Duration)
	// Claimed says how long it took to claim the requests in a State that are due.
	Claimed(state string, took time.Duration)
}

// ErrClosed is returned by every method of a store that was closed, or whose Run
// has ended.
var ErrClosed = errors.New("store: closed")

// A Store is an open database. Its methods may be called concurrently; those
// that write need Run to be running.
type Store struct {
	*engine
	keys  *Keyring
	index indexKey // immutable
	meter Meter    // or nil

	writes  chan *write
	turns   chan *write   // those that wait for other bridges' turns: see inTurn
	stopped chan struct{} // closed when Run has ended, or will never begin
	closed  chan struct{} // closed by Close
	close   sync.Once

	mu    sync.Mutex // guards taken
	taken bool       // by Run, or by Close if Run was not called

	reading sync.RWMutex // held for reading by each read, so that Close waits for them
}

// Open opens the database and brings its tables up to date. It refuses a
// database that a newer program has written.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	switch {
	case cfg.Database == nil:
		return nil, errors.New("store: no database given")
	case cfg.Keys == nil:
		return nil, errors.New("store: no keys given")
	}
	s := &Store{
		keys:    cfg.Keys,
		meter:   cfg.Meter,
		writes:  make(chan *write, maxBatch),
		stopped: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	s.turns = s.writes
	if err := s.open(ctx, cfg.Database); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("store %q: %w", cfg.Database, err)
	}
	if s.turn != "" {
		s.turns = make(chan *write, maxBatch)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, db Database) (err error) {
	if s.engine, err = db.open(ctx); err != nil {
		return err
	}
	if _, err := s.migrate(ctx); err != nil {
		return err
	}
	if err := s.compare(ctx); err != nil {
		return err
	}
	return s.transact(ctx, s.loadIndexKey)
}

// Ping reports whether the database can be read.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	_, err := s.get(ctx, "SELECT 1", nil, &one)
	return err
}

// Close lets go of the database. Writes that are not committed yet are lost,
// and fail with ErrClosed. It may be called more than once.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		close(s.closed)
		if s.takeWriter() {
			close(s.stopped)
		}
		<-s.stopped
		s.reading.Lock()
		defer s.reading.Unlock()
		if s.engine != nil {
			err = s.release()
		}
	})
	return err
}
