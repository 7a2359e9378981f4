package capacity

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// waitingColumns are those of requests that a sign-in has while a person is waited
// for.
var waitingColumns = []string{"device", "id", "state", "person", "due_at", "deadline", "interval_ms", "details"}

// seed has n people be waited for, whose polls are due within a time from an instant
// on, and again after the interval. It writes rows as the store does: to ask for each
// would take an hour.
func (r *rig) seed(n int, from time.Time, interval, within time.Duration) {
	r.tb.Helper()
	ctx := context.Background()
	var db store.Database = store.SQLite{Path: r.db}
	if r.onPostgres() {
		db = store.Postgres{Config: must(pgxpool.ParseConfig(r.db))}
	}
	st, err := store.Open(ctx, store.Config{Database: db, Keys: r.keys})
	if err != nil {
		r.tb.Fatal(err)
	}
	if err := st.Close(); err != nil {
		r.tb.Fatal(err)
	}
	s := &seeder{issuer: r.issuer, seal: sealer(r.tb), n: n, now: time.Now(), from: from, interval: interval, within: within}
	if r.onPostgres() {
		err = s.postgres(ctx, r.db)
	} else {
		err = s.sqlite(ctx, r.db)
	}
	if err != nil {
		r.tb.Fatal(err)
	}
}

func (r *rig) onPostgres() bool { return strings.HasPrefix(r.db, "postgres://") }

// sealer encrypts as store.Keyring does.
func sealer(tb testing.TB) func(where string, plain []byte) []byte {
	tb.Helper()
	aead := must(cipher.NewGCMWithRandomNonce(must(aes.NewCipher(storeKey))))
	name := sha256.Sum256(append([]byte("carillon key id\x00"), storeKey...))
	return func(where string, plain []byte) []byte {
		return aead.Seal(append([]byte{1}, name[:4]...), nil, plain, []byte(where))
	}
}

// A seeder makes the rows of people who are waited for.
type seeder struct {
	issuer           string
	seal             func(where string, plain []byte) []byte
	n                int
	now, from        time.Time
	interval, within time.Duration
}

func (s *seeder) row(i int) ([]any, error) {
	k := store.Key{Device: schemas.DeviceID(fmt.Sprintf("held-%d", i)), ID: schemas.NewID()}
	person := make([]byte, 16)
	rand.Read(person)
	details, err := cbor.Marshal(store.Details{
		Issuer: s.issuer, Hint: store.Hint{Kind: store.LoginHint, Value: fmt.Sprintf("held%d@example.com", i)}, Scope: []string{"seat", "climate"},
		Asked: s.now.Unix(), Begun: s.now.UnixMilli(), Rang: s.now.UnixMilli(), Binding: "4K7-P2X", AuthReqID: fmt.Sprintf("%s%d", held, i),
		Kind: schemas.Car,
	})
	if err != nil {
		return nil, err
	}
	due := s.from.Add(s.within * time.Duration(i%10_000) / 10_000)
	return []any{
		string(k.Device), k.ID[:], string(store.Waiting), person, due.UnixMilli(), s.now.Add(2 * time.Hour).UnixMilli(),
		s.interval.Milliseconds(), s.seal("requests/"+string(k.Device)+"/"+k.ID.String(), details),
	}, nil
}

func (s *seeder) postgres(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"requests"}, waitingColumns, pgx.CopyFromSlice(s.n, s.row))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "VACUUM ANALYZE requests")
	return err
}

func (s *seeder) sqlite(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	insert, err := tx.PrepareContext(ctx, "INSERT INTO requests ("+strings.Join(waitingColumns, ", ")+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	for i := range s.n {
		row, err := s.row(i)
		if err != nil {
			return err
		}
		if _, err := insert.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return tx.Commit()
}
