package store

import (
	"context"
	"strings"
	"sync"
)

// Plans returns how the engine goes about statements that are given so many rows.
func (s *Store) Plans(ctx context.Context, rows int) (map[string]string, error) {
	granted, refused := ending("= 'waiting'"), ending("IN ('ringing', 'waiting')")
	plans := make(map[string]string)
	for name, of := range map[string]struct {
		columns   []column
		statement string
	}{
		"polled":  {polled.columns, polled.update()},
		"rang":    {rang.columns, rang.update()},
		"granted": {granted.columns, granted.update()},
		"refused": {refused.columns, refused.update()},
		"minted":  {receiptColumns, minted},
		"void":    {receiptColumns, voidHandles},
		"receipt": {receiptColumns, endDelivery},
		"find":    {findColumns, find},
		"surplus": {sessionColumns, deleteSurplus},
	} {
		plan, err := s.plan(ctx, of.columns, rows, of.statement)
		if err != nil {
			return nil, err
		}
		plans[name] = plan
	}
	return plans, nil
}

func (s *Store) plan(ctx context.Context, columns []column, rows int, statement string) (string, error) {
	values := make([][]any, rows)
	for i := range values {
		for _, c := range columns {
			values[i] = append(values[i], map[string]any{"TEXT": "car-1", "BIGINT": 1, bytes: []byte{1}}[c.kind])
		}
	}
	given, args := s.given(columns, values)
	explain := "EXPLAIN "
	if s.alone {
		explain = "EXPLAIN QUERY PLAN "
	}
	var plan strings.Builder
	err := s.each(ctx, explain+given+statement, args, func(from row) error {
		var line string // in the last column
		cells := []any{&line}
		if s.alone {
			cells = []any{new(any), new(any), new(any), &line}
		}
		err := from.Scan(cells...)
		plan.WriteString(line + "\n")
		return err
	})
	return plan.String(), err
}

// Together has n writes made in one transaction, each of which do asks for. The
// store is one that nobody runs.
func (s *Store) Together(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	batch := make([]*write, n)
	for i := range batch {
		select {
		case batch[i] = <-s.writes:
		case batch[i] = <-s.turns:
		}
	}
	s.commit(batch)
	all.Wait()
}

// Swallow commits a transaction in which a statement was wrong, of which nobody has
// heard.
func (s *Store) Swallow(ctx context.Context) error {
	return s.transact(ctx, func(t *tx) error {
		_, _ = t.exec("INSERT INTO quotas (name, full_at) VALUES ('lost', 1)")
		_, _ = t.exec("SELECT nonsense")
		return nil
	})
}

// Freeze takes a turn at a provider, says that it has it, and keeps it until it is
// let go, or for as long as the server permits.
func (s *Store) Freeze(ctx context.Context, provider string, has chan<- struct{}, letGo <-chan struct{}) error {
	return s.transact(ctx, func(t *tx) error {
		if err := t.inTurn([]string{provider}); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM quotas WHERE name = 'none'"); err != nil {
			return err
		}
		close(has)
		<-letGo
		return nil
	})
}
