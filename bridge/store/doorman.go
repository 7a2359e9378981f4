package store

import (
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// found is what is stored that concerns a sign-in.
type found struct {
	known, requests int   // of this name, of this device
	busyUntil       int64 // the deadline of the person's open request; 0 if there is none
	coolUntil       int64
	circuit         circuit
}

// A doorman says which of many sign-ins that want to begin may. Each of them counts
// for those after it.
type doorman struct {
	t       *tx
	ledger  *ledger
	ringing int                      // at all bridges
	names   map[Key]bool             // that were let in
	persons map[Person]int64         // those of whom, and their deadlines
	devices map[schemas.DeviceID]int // how many of each
}

var findColumns = []column{{"n", "BIGINT"}, {"d", "TEXT"}, {"i", bytes}, {"p", bytes}, {"op", "TEXT"}}

const find = `SELECT n,
		(SELECT count(*) FROM requests WHERE device = d AND id = i),
		(SELECT count(*) FROM requests WHERE device = d),
		(SELECT count(*) FROM requests WHERE state = 'ringing'),
		COALESCE((SELECT deadline FROM requests WHERE person = p AND state IN ('ringing', 'waiting')), 0),
		COALESCE((SELECT until FROM denials WHERE device = d AND person = p), 0),
		COALESCE((SELECT failures FROM circuits WHERE provider = op), 0),
		COALESCE((SELECT shut_until FROM circuits WHERE provider = op), 0)
	FROM v`

// doorman reads what is stored about sign-ins, and so much as concerns all of them.
func (t *tx) doorman(all []*beginning, l *ledger) (*doorman, error) {
	d := &doorman{
		t: t, ledger: l,
		names: make(map[Key]bool), persons: make(map[Person]int64), devices: make(map[schemas.DeviceID]int),
	}
	rows := make([][]any, len(all))
	for i, b := range all {
		rows[i] = []any{i, b.Device, b.ID[:], b.Person[:], b.Provider}
	}
	given, args := t.given(findColumns, rows)
	return d, t.each(given+find, args, func(from row) error {
		var n int
		var f found
		err := from.Scan(&n, &f.known, &f.requests, &d.ringing, &f.busyUntil, &f.coolUntil, &f.circuit.failures, &f.circuit.until)
		all[n].found = f
		return err
	})
}

// admit decides about one.
func (d *doorman) admit(b *beginning) (Begun, error) {
	if refused := d.refuse(b); refused.Verdict != 0 {
		return refused, nil
	}
	if refused := d.ledger.take(b.Quotas, b.Now); refused.Verdict != 0 {
		return refused, nil
	}
	passed, err := d.t.pass(b.Provider, b.Due, b.found.circuit)
	if err != nil {
		return Begun{}, err
	}
	if !passed {
		d.ledger.giveBack(b.Quotas)
		return Begun{Verdict: ProviderDown, Wait: time.Second}, nil
	}
	d.ringing++
	d.names[b.Key] = true
	d.persons[b.Person] = d.t.ms(b.Deadline)
	d.devices[b.Device]++
	return Begun{Verdict: Started, Failed: b.found.circuit.failures > 0}, nil
}

// refuse returns the zero Begun if nothing but quotas and the provider's circuit
// can be in the way.
func (d *doorman) refuse(b *beginning) Begun {
	until := func(ms int64) time.Duration { return d.t.at(ms).Sub(b.Now) }
	busy := max(b.found.busyUntil, d.persons[b.Person])
	switch {
	case b.found.known > 0 || d.names[b.Key]:
		return Begun{Verdict: Known}
	case b.found.requests+d.devices[b.Device] >= MaxPerDevice:
		return Begun{Verdict: TooMany, Wait: 10 * time.Second}
	case busy > 0:
		return Begun{Verdict: PersonBusy, Wait: max(until(busy), time.Second)}
	case b.found.coolUntil > d.t.ms(b.Now):
		return Begun{Verdict: CoolingDown, Wait: until(b.found.coolUntil)}
	case b.Ringing > 0 && d.ringing >= b.Ringing:
		return Begun{Verdict: ProviderBusy, Wait: time.Second}
	case b.found.circuit.until > d.t.ms(b.Now):
		return Begun{Verdict: ProviderDown, Wait: until(b.found.circuit.until)}
	}
	return Begun{}
}
