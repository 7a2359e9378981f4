package fleet

import (
	"context"
	"net/url"
	"strings"

	"github.com/carillon-iot/carillon/bridge/store/pgtest"
	"github.com/carillon-iot/carillon/device-sim/process"
)

// A Store is where the bridges of a fleet keep their state.
type Store interface {
	// Open makes it ready and returns what bridges are given as db. Dir is there
	// for files.
	Open(ctx context.Context, dir string) (db string, err error)
	// Shared reports whether several bridges can use it.
	Shared() bool
	// String names it in reports.
	String() string
	// Usage is what it costs beside the bridges; zero if that is nothing, or
	// cannot be known.
	Usage() process.Usage
	// Close ends it. It may be called without Open.
	Close() error
}

// SQLite is a file in the directory of the run.
type SQLite struct{}

// Open returns the name of a file.
func (SQLite) Open(_ context.Context, dir string) (string, error) { return dir + "/bridge.db", nil }

// Shared reports that one bridge at a time can use a file.
func (SQLite) Shared() bool { return false }

// String returns "sqlite".
func (SQLite) String() string { return "sqlite" }

// Usage is that of the bridge.
func (SQLite) Usage() process.Usage { return process.Usage{} }

// Close does nothing: the bridge closes the file.
func (SQLite) Close() error { return nil }

// Postgres is a PostgreSQL server of the run's own, of the programs that are
// installed. It waits for the disk, as a real one must. The zero value is ready
// to be opened.
type Postgres struct{ server *pgtest.Server }

// Open starts the server.
func (p *Postgres) Open(ctx context.Context, _ string) (string, error) {
	server, err := pgtest.Start(ctx, pgtest.Config{Fsync: true})
	if err != nil {
		return "", err
	}
	p.server = server
	return server.Database(ctx)
}

// Shared reports that several bridges can use it.
func (p *Postgres) Shared() bool { return true }

// String returns "postgres".
func (p *Postgres) String() string { return "postgres" }

// Usage is that of all processes of the server.
func (p *Postgres) Usage() process.Usage {
	if p.server == nil {
		return process.Usage{}
	}
	return process.FamilyUsage(p.server.PID())
}

// Close stops the server and removes what it has stored.
func (p *Postgres) Close() error {
	if p.server != nil {
		p.server.Stop()
	}
	return nil
}

// Database is a PostgreSQL database of somebody else's, at a URL. It must be
// empty: the keys to what other runs have stored there are gone.
type Database struct{ URL string }

// Open returns the URL.
func (d Database) Open(context.Context, string) (string, error) { return d.URL, nil }

// Shared reports that several bridges can use it.
func (Database) Shared() bool { return true }

// String returns the address without its secrets.
func (d Database) String() string {
	u, err := url.Parse(d.URL)
	if err != nil {
		return "postgres"
	}
	return "postgres://" + strings.TrimSuffix(u.Host+u.Path, "/")
}

// Usage is not known.
func (Database) Usage() process.Usage { return process.Usage{} }

// Close does nothing.
func (Database) Close() error { return nil }
