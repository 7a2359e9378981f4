package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/carillon-iot/carillon/schemas"
)

// Pseudonym returns the name of a device in logs and traces, 16 hexadecimal
// digits: a keyed hash, which stays for as long as the database does and is of no
// use without it.
func (s *Store) Pseudonym(d schemas.DeviceID) string { return s.index.pseudonym(d) }

func (k indexKey) pseudonym(d schemas.DeviceID) string {
	name := k.hash("pseudonym", string(d))
	return hex.EncodeToString(name[:8])
}

// A Register finds the device of a pseudonym, in a database that bridges may be
// working on. It changes nothing.
type Register struct {
	engine *engine
	index  indexKey
}

// OpenRegister opens a database for reading. Meter is not used.
func OpenRegister(ctx context.Context, cfg Config) (*Register, error) {
	e, err := cfg.Database.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("store %q: %w", cfg.Database, err)
	}
	r := &Register{engine: e}
	if err := r.open(ctx, cfg.Keys); err != nil {
		return nil, fmt.Errorf("store %q: %w", cfg.Database, errors.Join(err, e.release()))
	}
	return r, nil
}

func (r *Register) open(ctx context.Context, keys *Keyring) error {
	if r.engine.schema == nil {
		return errors.New("there is no such database")
	}
	var sealed []byte
	if err := r.each(ctx, "SELECT value FROM secrets WHERE name = $1", []any{indexName}, &sealed, func() error { return nil }); err != nil {
		return err
	}
	if sealed == nil {
		return errors.New("no bridge has worked on it yet")
	}
	var err error
	r.index, err = keys.open(indexPlace, sealed)
	return err
}

// each calls found for every row, whose only column is in to.
func (r *Register) each(ctx context.Context, query string, args []any, to any, found func() error) error {
	return direct{r.engine.schema}.query(ctx, query, args, func(from row) error {
		if err := from.Scan(to); err != nil {
			return err
		}
		return found()
	})
}

// Pseudonym returns the name of a device in logs and traces.
func (r *Register) Pseudonym(d schemas.DeviceID) string { return r.index.pseudonym(d) }

// Devices calls each for every device whose certificate is known, in order, until
// it returns an error.
func (r *Register) Devices(ctx context.Context, each func(schemas.DeviceID) error) error {
	var d schemas.DeviceID
	err := r.each(ctx, "SELECT DISTINCT device FROM device_chains ORDER BY device", nil, &d, func() error { return each(d) })
	if err != nil {
		return fmt.Errorf("looking for devices: %w", err)
	}
	return nil
}

// Close lets go of the database.
func (r *Register) Close() error { return r.engine.release() }
