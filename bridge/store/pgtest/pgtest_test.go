package pgtest_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/carillon-iot/carillon/bridge/store/pgtest"
)

var ctx = context.Background()

// query returns the only value of a query.
func query[T any](t *testing.T, dsn, statement string) (value T) {
	t.Helper()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, statement).Scan(&value); err != nil {
		t.Fatalf("%q: %v", statement, err)
	}
	return value
}

func exec(t *testing.T, s *pgtest.Server, statement string) {
	t.Helper()
	if err := s.Exec(ctx, statement); err != nil {
		t.Fatal(err)
	}
}

// What was stored is there after all processes were killed.
func TestKill(t *testing.T) {
	s := pgtest.New(t, pgtest.Config{})
	exec(t, s, "CREATE TABLE t (n int)")
	exec(t, s, "INSERT INTO t VALUES (7)")
	first := s.PID()
	s.Kill()
	if _, err := pgx.Connect(ctx, s.DSN()); err == nil {
		t.Fatal("the server answers after its death")
	}
	dead := s.PID()
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if second := s.PID(); first <= 0 || dead != 0 || second <= 0 || second == first {
		t.Errorf("processes %d, then %d, then %d", first, dead, second)
	}
	if n := query[int](t, s.DSN(), "SELECT n FROM t"); n != 7 {
		t.Errorf("found %d, want 7", n)
	}
}

func TestDatabase(t *testing.T) {
	s := pgtest.New(t, pgtest.Config{Settings: map[string]string{"max_connections": "17"}})
	a, err := s.Database(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Database(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if x, y := query[string](t, a, "SELECT current_database()"), query[string](t, b, "SELECT current_database()"); x == y {
		t.Errorf("both are %q", x)
	}
	if fsync, limit := query[string](t, a, "SHOW fsync"), query[string](t, a, "SHOW max_connections"); fsync != "off" || limit != "17" {
		t.Errorf("fsync is %q and max_connections %q", fsync, limit)
	}
}

// The replica has what the primary has confirmed, and goes on in its place.
func TestFailover(t *testing.T) {
	primary := pgtest.New(t, pgtest.Config{Fsync: true})
	if fsync := query[string](t, primary.DSN(), "SHOW fsync"); fsync != "on" {
		t.Errorf("fsync is %q", fsync)
	}
	replica, err := primary.Replica(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(replica.Stop)
	if err := primary.Synchronous(ctx); err != nil {
		t.Fatal(err)
	}
	exec(t, primary, "CREATE TABLE t AS SELECT 7 AS n")
	if err := replica.Exec(ctx, "CREATE TABLE u (n int)"); err == nil {
		t.Error("the replica can be written to")
	}
	both := pgtest.DSN(replica, primary)
	if standby := query[bool](t, both, "SELECT pg_is_in_recovery()"); standby {
		t.Error("the address of both leads to the replica")
	}
	primary.Kill()
	if err := replica.Promote(ctx); err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, both, "SELECT n FROM t"); n != 7 {
		t.Errorf("found %d, want 7", n)
	}
	exec(t, replica, "INSERT INTO t VALUES (8)")
}

// A server leaves nothing behind.
func TestStop(t *testing.T) {
	dir, err := os.MkdirTemp("", "empty")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the server is another user's
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	s, err := pgtest.Start(ctx, pgtest.Config{})
	pgtest.Check(t, err)
	s.Stop()
	s.Stop()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%v are left, error %v", left, err)
	}
}
