package store

import (
	"context"
	"time"
)

// Receipt records that the device has the answer, which is then forgotten. With
// a grant, the person's earlier handles on that device become void. It reports
// when the grant was recorded, zero if the answer was none, and whether there
// was an answer.
func (s *Store) Receipt(ctx context.Context, k Key, now time.Time) (granted time.Time, known bool, err error) {
	r := &receipt{Key: k, now: now}
	if err := s.submit(ctx, &write{of: &receipts, about: k, item: r}); err != nil || !r.known {
		return time.Time{}, false, err
	}
	return r.granted, true, nil
}

// A receipt is one that is recorded together with others.
type receipt struct {
	Key
	now     time.Time
	granted time.Time
	known   bool
}

var receipts = kind[receipt]{(*tx).receiveAll}

var receiptColumns = []column{{"d", "TEXT"}, {"i", bytes}, {"over", "BIGINT"}}

const (
	// minted are the handles that the answers have made of which there is a receipt
	// now. For the state see rang.
	minted = `SELECT m.device, m.request, m.issuer, m.subject, m.minted_at FROM v
		JOIN requests AS r ON r.device = d AND r.id = i AND r.state || '' = 'answered'
		JOIN handles AS m ON m.device = d AND m.request = i`
	voidHandles = `DELETE FROM handles WHERE (device, handle) IN (SELECT old.device, old.handle FROM (` + minted + `) AS new
		JOIN handles AS old ON old.device = new.device AND old.issuer = new.issuer AND old.subject = new.subject AND old.minted_at < new.minted_at)`
	endDelivery = `UPDATE requests SET state = 'done', answer = NULL, due_at = over FROM v
		WHERE device = d AND id = i AND state || '' = 'answered' RETURNING device, id`
)

// receiveAll asks for nothing that the next statement depends on, so all of it may
// travel together. If another bridge records the same receipt at the same time, both
// make the same handles void, and one of them hears that there was an answer.
func (t *tx) receiveAll(all []*receipt) error {
	rows, items := make([][]any, len(all)), make(map[Key]*receipt, len(all))
	for i, r := range all {
		r.granted, r.known = time.Time{}, false
		rows[i], items[r.Key] = []any{r.Device, r.ID[:], t.ms(r.now.Add(Tombstone))}, r
	}
	given, args := t.given(receiptColumns, rows)
	err := t.later(given+"SELECT device, request, minted_at FROM ("+minted+") AS m", args, func(from row) error {
		var at int64
		k, err := scanKey(from, &at)
		if r := items[k]; r != nil {
			r.granted = t.at(at)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := t.later(given+voidHandles, args, nothing); err != nil {
		return err
	}
	return t.later(given+endDelivery, args, func(from row) error {
		k, err := scanKey(from)
		if r := items[k]; r != nil {
			r.known = true
		}
		return err
	})
}
