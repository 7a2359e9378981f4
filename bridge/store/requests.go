package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/schemas"
)

// A Key names a request: ids are unique for one device.
type Key struct {
	Device schemas.DeviceID
	ID     schemas.ID
}

// where is the place of a request's secrets.
func (k Key) where() string { return "requests/" + string(k.Device) + "/" + k.ID.String() }

// scanKey reads the name of a request, and what comes after it.
func scanKey(from row, more ...any) (k Key, err error) {
	var id []byte
	err = from.Scan(append([]any{&k.Device, &id}, more...)...)
	copy(k.ID[:], id)
	return k, err
}

// A State is what a request waits for. See the package's documentation.
type State string

// The states.
const (
	Ringing  State = "ringing"
	Waiting  State = "waiting"
	Renewing State = "renewing"
	Answered State = "answered"
	Done     State = "done"
)

// A Request is a row as it was read. Times have a resolution of milliseconds.
type Request struct {
	Key
	State    State
	Person   Person
	Deadline time.Time
	Poll     ciba.Poll // while Waiting
	Details  Details   // while Ringing or Waiting
	Answer   []byte    // the signed message; nil before there is one and after its receipt
	Outcome  string    // in a word, once it is Answered
	Broken   error     // why Details could not be read; nil if they were, or there are none

	lease  int64  // due_at when the row was claimed
	sealed []byte // Details
}

// Details are what only the bridge looks at. They are encrypted at rest.
type Details struct {
	Issuer      string            `cbor:"1,keyasint"`
	Subject     string            `cbor:"2,keyasint,omitempty"` // who must approve; "" at the first sign-in by a hint
	Hint        Hint              `cbor:"3,keyasint"`
	Scope       []string          `cbor:"4,keyasint"` // as the device asked
	ACR         []string          `cbor:"5,keyasint,omitempty"`
	ResponseKey schemas.PublicKey `cbor:"6,keyasint"`
	Asked       int64             `cbor:"7,keyasint"`            // when, seconds since 1970
	Begun       int64             `cbor:"11,keyasint,omitempty"` // the same in milliseconds
	Rang        int64             `cbor:"12,keyasint,omitempty"` // when the provider acknowledged, milliseconds since 1970; once Waiting
	Binding     string            `cbor:"8,keyasint"`
	AuthReqID   string            `cbor:"9,keyasint,omitempty"` // once Waiting
	Sender      schemas.KeyID     `cbor:"10,keyasint"`          // of the device's certificate
	// Kind is the device's.
	Kind schemas.DeviceKind `cbor:"13,keyasint,omitempty"`
}

// A Hint says to the provider who is meant.
type Hint struct {
	Kind  HintKind `cbor:"1,keyasint"`
	Value string   `cbor:"2,keyasint"`
}

// A HintKind is which of the three hints of CIBA Core section 7.1 it is.
type HintKind uint8

// The kinds of hint.
const (
	LoginHint      HintKind = 1
	LoginHintToken HintKind = 2
	IDTokenHint    HintKind = 3
)

func (s *Store) sealDetails(k Key, d Details) ([]byte, error) {
	plain, err := cbor.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding the details of a request: %w", err)
	}
	return s.keys.seal(k.where(), plain), nil
}

// reveal reads r.Details. It is not done inside a transaction, where it would hold
// up the writer.
func (s *Store) reveal(r *Request) {
	if r.sealed == nil {
		return
	}
	plain, err := s.keys.open(r.where(), r.sealed)
	if err == nil {
		err = cbor.Unmarshal(plain, &r.Details)
	}
	if err != nil {
		r.Broken = fmt.Errorf("details of a request: %w", err)
	}
	r.sealed = nil
}

// requestColumns are those that scanRequest reads.
const requestColumns = "device, id, state, person, due_at, deadline, interval_ms, failures, lost, fallback_ms, pinged, details, answer, outcome"

func (e *engine) scanRequest(from row) (Request, error) {
	var (
		r                               Request
		id, person                      []byte
		due, deadline, interval         int64
		failures, lost, fallback, pings int64
	)
	err := from.Scan(&r.Device, &id, &r.State, &person, &due, &deadline, &interval, &failures, &lost, &fallback, &pings,
		&r.sealed, &r.Answer, &r.Outcome)
	if err != nil {
		return Request{}, err
	}
	copy(r.ID[:], id)
	copy(r.Person[:], person)
	r.Deadline, r.lease = e.at(deadline), due
	r.Poll = ciba.Poll{
		Interval: time.Duration(interval) * time.Millisecond,
		Due:      e.at(due),
		Deadline: r.Deadline,
		Failures: int(failures),
		Lost:     lost == 1,
		Fallback: time.Duration(fallback) * time.Millisecond,
		Pinged:   pings == 1,
	}
	return r, nil
}

// claim changes up to $2 requests in a state that are due, earliest first, and
// returns them as they are then. Nobody else gets them meanwhile.
func (s *Store) claim(ctx context.Context, state State, due, change string, args ...any) (claimed []Request, err error) {
	if s.meter != nil {
		defer func(from time.Time) { s.meter.Claimed(string(state), time.Since(from)) }(time.Now())
	}
	query := `WITH due (d, i) AS MATERIALIZED (
			SELECT device, id FROM requests WHERE state = '` + string(state) + `' AND ` + due + ` ORDER BY due_at LIMIT $2` + s.skipLocked + `)
		UPDATE requests SET ` + change + ` FROM due WHERE device = d AND id = i RETURNING ` + requestColumns
	err = s.do(ctx, func(t *tx) error {
		claimed = claimed[:0]
		return t.later(query, args, func(from row) error {
			r, err := s.scanRequest(from)
			claimed = append(claimed, r)
			return err
		})
	})
	for i := range claimed {
		s.reveal(&claimed[i])
	}
	return claimed, err
}

// Find returns the request of that name, if there is one.
func (s *Store) Find(ctx context.Context, k Key) (Request, bool, error) {
	r, ok := Request{}, false
	err := s.each(ctx, "SELECT "+requestColumns+" FROM requests WHERE device = $1 AND id = $2", []any{k.Device, k.ID[:]},
		func(from row) (err error) {
			ok = true
			r, err = s.scanRequest(from)
			return err
		})
	s.reveal(&r)
	return r, ok, err
}

// Count returns how many requests ring, wait, renew a session or are answered
// without a receipt.
func (s *Store) Count(ctx context.Context) (map[State]int, error) {
	counts := make(map[State]int)
	err := s.each(ctx, "SELECT state, count(*) FROM requests WHERE state IN ('ringing', 'waiting', 'renewing', 'answered') GROUP BY state", nil,
		func(from row) error {
			var state State
			var n int
			err := from.Scan(&state, &n)
			counts[state] = n
			return err
		})
	return counts, err
}

// NextDue returns when the first request in a state is due; zero if there is
// none.
func (s *Store) NextDue(ctx context.Context, state State) (time.Time, error) {
	return s.first(ctx, "SELECT min(due_at) FROM requests WHERE state = $1", string(state))
}

// first returns the one instant that a query selects; zero if it is NULL.
func (s *Store) first(ctx context.Context, query string, args ...any) (time.Time, error) {
	var due *int64
	_, err := s.get(ctx, query, args, &due)
	if err != nil || due == nil {
		return time.Time{}, err
	}
	return s.at(max(*due, 1)), nil
}
