package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// A Plan is what a migration does, or would do.
type Plan struct {
	Have  int64    // version of the tables; 0 if there are none
	Know  int64    // version that this program needs
	Steps []string // names of the steps from one to the other
}

// Examine says what opening a database would do to its tables, and changes
// nothing. It may be called while bridges work.
func Examine(ctx context.Context, db Database) (Plan, error) {
	p, err := examine(ctx, db)
	if err != nil {
		return Plan{}, fmt.Errorf("store %q: %w", db, err)
	}
	return p, nil
}

func examine(ctx context.Context, db Database) (p Plan, err error) {
	e, err := db.look(ctx)
	if err != nil {
		return Plan{}, err
	}
	defer func() { err = errors.Join(err, e.release()) }()
	return e.plan(ctx)
}

// Migrate brings the tables of a database up to date, as Open does, and says
// what it has done.
func Migrate(ctx context.Context, db Database) (p Plan, err error) {
	e, err := db.open(ctx)
	if err != nil {
		return Plan{}, fmt.Errorf("store %q: %w", db, err)
	}
	defer func() { err = errors.Join(err, e.release()) }()
	if p, err = e.migrate(ctx); err != nil {
		return p, fmt.Errorf("store %q: %w", db, err)
	}
	return p, nil
}

// migrate brings the tables up to date, each step in a transaction of its own,
// while no other process does so.
func (e *engine) migrate(ctx context.Context) (p Plan, err error) {
	if e.lock != "" {
		guard, err := e.schema.Conn(ctx)
		if err != nil {
			return Plan{}, err
		}
		defer guard.Close() // the lock goes with the connection
		if _, err := guard.ExecContext(ctx, e.lock); err != nil {
			return Plan{}, fmt.Errorf("waiting for another bridge that migrates the tables: %w", err)
		}
	}
	if p, err = e.plan(ctx); err != nil || len(p.Steps) == 0 {
		return p, err
	}
	files, err := fs.Sub(migrations, e.migrations)
	if err != nil {
		return p, err
	}
	provider, err := goose.NewProvider(e.goose, e.schema, files)
	if err != nil {
		return p, fmt.Errorf("migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return p, fmt.Errorf("migrating the tables from version %d to %d: %w", p.Have, p.Know, err)
	}
	return p, nil
}

// plan compares the tables with the migrations. It refuses tables that a newer
// program has made.
func (e *engine) plan(ctx context.Context) (Plan, error) {
	have, err := e.version(ctx)
	if err != nil {
		return Plan{}, fmt.Errorf("reading the version of the tables: %w", err)
	}
	p, err := planFrom(e.migrations, have)
	if err == nil && p.Have > p.Know {
		err = fmt.Errorf("the tables are of version %d, this program knows versions up to %d: run the newer program, or restore a back-up from before it", p.Have, p.Know)
	}
	return p, err
}

// version returns the version of the tables; 0 if there are none.
func (e *engine) version(ctx context.Context) (version int64, err error) {
	if e.schema == nil {
		return 0, nil
	}
	var tables []string
	err = direct{e.schema}.query(ctx, e.tables, nil, func(from row) error {
		var name string
		err := from.Scan(&name)
		tables = append(tables, name)
		return err
	})
	if err != nil || !slices.Contains(tables, goose.DefaultTablename) {
		return 0, err
	}
	err = e.schema.QueryRowContext(ctx, "SELECT max(version_id) FROM "+goose.DefaultTablename+" WHERE is_applied").Scan(&version)
	return version, err
}

// planFrom lists the migrations of a directory that are later than a version.
func planFrom(dir string, have int64) (Plan, error) {
	p := Plan{Have: have}
	files, err := fs.ReadDir(migrations, dir)
	if err != nil {
		return p, err
	}
	for _, f := range files { // in the order of their names
		version, err := goose.NumericComponent(f.Name())
		if err != nil {
			return p, fmt.Errorf("migration %q: %w", path.Join(dir, f.Name()), err)
		}
		if p.Know = version; version > have {
			p.Steps = append(p.Steps, f.Name())
		}
	}
	return p, nil
}
