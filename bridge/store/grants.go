package store

import (
	"context"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// A Grant is what is kept of one.
type Grant struct {
	Person  Person // who was rung
	Pairing Pairing
	Handle  schemas.Handle // by which the device may call the person from now on
	// Renewal is what renews the session, until RenewUntil; nil if nothing does.
	Renewal    *Renewal
	RenewUntil time.Time
	Expires    time.Time // when the session is forgotten
}

// Grant ends a request that waits, with a pairing, a handle and a session. It
// reports whether it did; if not, somebody else has ended it and nothing is
// stored.
func (s *Store) Grant(ctx context.Context, e Ending, g Grant) (ended bool, err error) {
	n := &granting{Ending: e, Grant: g, hint: s.hintKey(g.Pairing.Issuer, g.Pairing.Hint)}
	if n.secret, err = s.sealPairing(g.Pairing); err != nil {
		return false, err
	}
	if n.renewal, err = s.sealRenewal(e.Key, g.Renewal); err != nil {
		return false, err
	}
	err = s.submit(ctx, &write{of: &grants, about: g.Pairing.where(), item: n})
	return n.ended && err == nil, err
}

// A granting is a grant that is stored together with others.
type granting struct {
	Ending
	Grant
	hint            Person
	secret, renewal []byte // sealed
	ended           bool
}

var grants = kind[granting]{(*tx).grantAll}

func (t *tx) grantAll(all []*granting) error {
	endings := make([]Ending, len(all))
	for i, g := range all {
		endings[i] = g.Ending
	}
	ended, err := t.endAll(endings, "= 'waiting'")
	if err != nil {
		return err
	}
	var granted []*granting
	for _, g := range all {
		if g.ended = ended[g.Key]; g.ended {
			granted = append(granted, g)
		}
	}
	if granted == nil {
		return nil
	}
	for _, store := range []func([]*granting) error{t.pair, t.forgive, t.beginSessions} {
		if err := store(granted); err != nil {
			return err
		}
	}
	return nil
}

// pair stores who was signed in, and by which handle they are called.
func (t *tx) pair(granted []*granting) error {
	pairings, handles := make([][]any, len(granted)), make([][]any, len(granted))
	for i, g := range granted {
		p := g.Pairing
		pairings[i] = []any{p.Device, p.Issuer, p.Subject, g.hint[:], g.secret, t.ms(g.Now)}
		handles[i] = t.handle(g.Ending, p, g.Handle)
	}
	err := t.put([]column{{"d", "TEXT"}, {"i", "TEXT"}, {"s", "TEXT"}, {"h", bytes}, {"sealed", bytes}, {"used", "BIGINT"}}, pairings,
		`INSERT INTO pairings (device, issuer, subject, hint_key, secret, used_at) SELECT DISTINCT d, i, s, h, sealed, used FROM v WHERE TRUE
		ON CONFLICT (device, issuer, subject) DO UPDATE SET hint_key = excluded.hint_key, secret = excluded.secret, used_at = excluded.used_at`)
	if err != nil {
		return err
	}
	return t.mint(handles)
}

// handle is a row for mint: a further handle of a person.
func (t *tx) handle(e Ending, p Pairing, h schemas.Handle) []any {
	return []any{p.Device, h[:], p.Issuer, p.Subject, e.ID[:], t.ms(e.Now)}
}

func (t *tx) mint(handles [][]any) error {
	return t.put([]column{{"d", "TEXT"}, {"h", bytes}, {"i", "TEXT"}, {"s", "TEXT"}, {"r", bytes}, {"minted", "BIGINT"}}, handles,
		"INSERT INTO handles (device, handle, issuer, subject, request, minted_at) SELECT DISTINCT d, h, i, s, r, minted FROM v")
}

// forgive forgets that somebody has said no before.
func (t *tx) forgive(granted []*granting) error {
	rows := make([][]any, len(granted))
	for i, g := range granted {
		rows[i] = []any{g.Device, g.Person[:]}
	}
	return t.put([]column{{"d", "TEXT"}, {"p", bytes}}, rows, "DELETE FROM denials WHERE (device, person) IN (SELECT d, p FROM v)")
}
