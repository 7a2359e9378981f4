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
	// pgWriters is how many transactions write at the same time, one of them what
	// takes turns. What gathers meanwhile is written together, so more would only make
	// smaller batches.
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
	turn:       "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
	forUpdate:  " FOR UPDATE",
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
	e.reads, e.schema = pgReader{p.reads}, p.schema
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
	reads, writes *pgxpool.Pool
	schema        *sql.DB
}

func (p *postgres) connect(ctx context.Context, d Postgres) (err error) {
	if p.reads, err = pgxpool.NewWithConfig(ctx, d.config(pgReaders, pgTimeout)); err != nil {
		return err
	}
	if p.writes, err = pgxpool.NewWithConfig(ctx, d.config(pgWriters, pgTimeout)); err != nil {
		return err
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
		if err := p.reads.QueryRow(ctx, "SHOW "+name).Scan(&value); err != nil {
			return err
		}
		if value == "off" {
			return fmt.Errorf("the server's setting %s is off: it would say that something is stored which a crash can undo", name)
		}
	}
	return nil
}

func (p *postgres) close() error {
	for _, pool := range []*pgxpool.Pool{p.reads, p.writes} {
		if pool != nil {
			pool.Close()
		}
	}
	if p.schema == nil {
		return nil
	}
	return p.schema.Close()
}

// time returns the server's time.
func (p *postgres) time(ctx context.Context) (now time.Time, err error) {
	err = p.reads.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now)
	return now, err
}
