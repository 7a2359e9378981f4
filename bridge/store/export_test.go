package store

import (
	"context"
	"strings"
)

// Plans returns how the engine goes about changing so many requests with one
// statement, for each such statement.
func (s *Store) Plans(ctx context.Context, rows int) (map[string]string, error) {
	explain := "EXPLAIN "
	if s.alone {
		explain = "EXPLAIN QUERY PLAN "
	}
	plans := make(map[string]string)
	for name, b := range map[string]*bulk{"polled": &polled, "rang": &rang} {
		var args []any
		for range rows {
			for _, c := range b.columns {
				args = append(args, map[string]any{"TEXT": "car-1", "BIGINT": 1, bytes: []byte{1}}[c.kind])
			}
		}
		var plan strings.Builder
		err := s.each(ctx, explain+b.statement(rows, s.dialect), args, func(rows row) error {
			var line string // in the last column
			cells := []any{&line}
			if s.alone {
				cells = []any{new(any), new(any), new(any), &line}
			}
			err := rows.Scan(cells...)
			plan.WriteString(line + "\n")
			return err
		})
		if err != nil {
			return nil, err
		}
		plans[name] = plan.String()
	}
	return plans, nil
}
