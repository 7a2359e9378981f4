package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Postgres is a database of a PostgreSQL server, version 15 or later, which any
// number of bridges share.
type Postgres struct {
	// Config says how it is reached, see [pgxpool.ParseConfig]. It may name several
	// hosts, of which the one is used that can be written to. Required.
	Config *pgxpool.Config
	// UnsafeNoSync takes a server that does not wait for its disk. For tests and
	// measurements only.
	UnsafeNoSync bool
}

// String returns the address without a password, and without parameters.
func (d Postgres) String() string {
	if d.Config == nil {
		return ""
	}
	c := d.Config.ConnConfig
	hosts := []string{c.Host}
	for _, f := range c.Fallbacks {
		if !slices.Contains(hosts, f.Host) {
			hosts = append(hosts, f.Host)
		}
	}
	return "postgres://" + strings.Join(hosts, ",") + "/" + c.Database
}

const (
	// pgWriters is how many transactions write at the same time. What gathers
	// meanwhile is written together, so more would only make smaller batches.
	pgWriters = 4
	pgReaders = 8
	// pgTimeout bounds a transaction and a read: a server that does not answer for
	// so long is not there.
	pgTimeout = 10 * time.Second
	// pgConnect bounds the attempt to reach one host.
	pgConnect = 5 * time.Second
)

var postgresDialect = dialect{
	goose:      goose.DialectPostgres,
	migrations: "migrations/postgres",
	tables:     "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
	blob:       "BYTEA",
	skipLocked: " FOR UPDATE SKIP LOCKED",
	lock:       "SELECT pg_advisory_lock(4837123057)", // any number, but always this one
}

func (d Postgres) open(ctx context.Context) (*engine, error) {
	if d.Config == nil {
		return nil, errors.New("no configuration given")
	}
	p := new(postgres)
	e := &engine{
		dialect: postgresDialect,
		begin:   p.begin,
		release: p.close,
		writers: pgWriters,
		timeout: pgTimeout,
		fault:   p.fault,
		clock:   clock{asks: p.time},
	}
	if err := p.connect(ctx, d); err != nil {
		return nil, errors.Join(err, p.close())
	}
	e.reads, e.schema = direct{p.read}, p.schema
	return e, nil
}

func (d Postgres) look(context.Context) (*engine, error) {
	db := stdlib.OpenDB(*d.config(1, 0).ConnConfig)
	return &engine{dialect: postgresDialect, schema: db, release: db.Close}, nil
}

// config returns the configuration of so many connections whose statements the
// server ends after some time; 0 is no bound.
func (d Postgres) config(conns int32, timeout time.Duration) *pgxpool.Config {
	cfg := d.Config.Copy()
	cfg.MaxConns = conns
	c := &cfg.ConnConfig.Config
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = pgConnect
	}
	if c.ValidateConnect == nil { // a bridge has no use for a standby
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	limit := fmt.Sprint(timeout.Milliseconds())
	for name, value := range map[string]string{
		"application_name": "carillon-bridge",
		// Where a bridge's machine dies, nobody closes its connections.
		"statement_timeout":                   limit,
		"idle_in_transaction_session_timeout": limit,
		// What the statements are made for: each sees what was committed before it,
		// and finds its rows by an index, however few they have been so far.
		"default_transaction_isolation": "read committed",
		"enable_seqscan":                "off",
		"enable_hashjoin":               "off",
		"jit":                           "off",
	} {
		if _, ok := c.RuntimeParams[name]; !ok {
			c.RuntimeParams[name] = value
		}
	}
	return cfg
}

// postgres is an open database.
type postgres struct {
	readPool, writePool *pgxpool.Pool
	read, write, schema *sql.DB
}

func (p *postgres) connect(ctx context.Context, d Postgres) (err error) {
	for _, f := range []struct {
		conns int32
		pool  **pgxpool.Pool
		db    **sql.DB
	}{{pgReaders, &p.readPool, &p.read}, {pgWriters, &p.writePool, &p.write}} {
		if *f.pool, err = pgxpool.NewWithConfig(ctx, d.config(f.conns, pgTimeout)); err != nil {
			return err
		}
		*f.db = stdlib.OpenDBFromPool(*f.pool)
	}
	p.schema = stdlib.OpenDB(*d.config(1, 0).ConnConfig)
	p.schema.SetMaxIdleConns(0)
	if d.UnsafeNoSync {
		return nil
	}
	return p.waitsForDisk(ctx)
}

// waitsForDisk returns an error if what the server says is stored may be lost
// with it.
func (p *postgres) waitsForDisk(ctx context.Context) error {
	for _, name := range []string{"fsync", "synchronous_commit"} {
		var value string
		if err := p.read.QueryRowContext(ctx, "SHOW "+name).Scan(&value); err != nil {
			return err
		}
		if value == "off" {
			return fmt.Errorf("the server's setting %s is off: it would say that something is stored which a crash can undo", name)
		}
	}
	return nil
}

func (p *postgres) close() error {
	var errs []error
	for _, db := range []*sql.DB{p.read, p.write, p.schema} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	for _, pool := range []*pgxpool.Pool{p.readPool, p.writePool} {
		if pool != nil {
			pool.Close()
		}
	}
	return errors.Join(errs...)
}

func (p *postgres) begin(ctx context.Context) (transaction, error) {
	t, err := p.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return pgTx{t, direct{t}}, nil
}

type pgTx struct {
	*sql.Tx
	direct
}

// time returns the server's time.
func (p *postgres) time(ctx context.Context) (now time.Time, err error) {
	err = p.read.QueryRowContext(ctx, "SELECT clock_timestamp()").Scan(&now)
	return now, err
}

// direct leaves it to the driver to prepare each statement once, on each
// connection.
type direct struct {
	on interface {
		ExecContext(context.Context, string, ...any) (sql.Result, error)
		QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	}
}

func (d direct) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	return d.on.ExecContext(ctx, query, args...)
}

func (d direct) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	return d.on.QueryContext(ctx, query, args...)
}
