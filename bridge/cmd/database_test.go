package cmd_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/cmd"
	"github.com/carillon-iot/carillon/bridge/store/pgtest"
)

// The address of a database is taken for what it is, and its password is shown
// to nobody.
func TestDatabaseAddress(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	const secret = "s3cret"
	for _, c := range []struct {
		db, storeKey, sealKey string
		code                  int
		want                  []string
	}{
		{"postgres://carillon:" + secret + "@db1.example.com,db2.example.com:5433/carillon", w.path("k"), w.path("s"), 0, []string{"postgres://db1.example.com,db2.example.com/carillon"}},
		{"postgresql:///carillon?password=" + secret + "&host=db.example.com", w.path("k"), w.path("s"), 0, []string{"postgres://db.example.com/carillon"}},
		{"postgres://carillon@db.example.com/carillon", "", "", 2, []string{"--store-key is missing", "PostgreSQL"}},
		{"postgres://carillon@db.example.com/carillon", w.path("k"), "", 0, []string{w.path("k") + " (will be made)", "the database's own"}},
		{"postgres://carillon:" + secret + "@db.example.com:port/carillon", w.path("k"), w.path("s"), 2, []string{"--db", "port"}},
	} {
		flags := w.flags()
		flags["db"], flags["store-key"], flags["seal-key"] = c.db, c.storeKey, c.sealKey
		code, stdout, stderr := w.main(args("check-config", flags)...)
		if out := stdout + stderr; code != c.code || !contains(out, c.want...) || strings.Contains(out, secret) {
			t.Errorf("%s: status %d, want %d\n%s", c.db, code, c.code, out)
		}
	}
}

// Keys may come from the environment, and then no file is made or missed.
func TestKeysInEnvironment(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	flags := w.flags()
	flags["store-key"] = "env:KEYS"
	check := func(environ ...string) (int, string) {
		var out bytes.Buffer
		code := cmd.Main(context.Background(), args("check-config", flags), environ, &out, &out)
		return code, out.String()
	}
	one, other := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	for _, keys := range []string{one, one + "\n" + other + "\n", one + "," + other} {
		if code, out := check("KEYS=" + keys); code != 0 || !contains(out, "env:KEYS") {
			t.Errorf("exit status %d: %s", code, out)
		}
	}
	for _, environ := range [][]string{nil, {"KEYS="}, {"KEYS=" + one[1:]}, {"KEYS=" + one + "," + one}} {
		if code, out := check(environ...); code != 1 || !contains(out, "--store-key", "KEYS") || strings.Contains(out, one[1:]) {
			t.Errorf("%q: exit status %d: %s", environ, code, out)
		}
	}
}

// Of two bridges that share a database, nothing else is configured for it, and
// when one is killed with -9 the other goes on: one push, one grant.
func TestKillOneOfTwo(t *testing.T) {
	op := &cibatest.Provider{Interval: time.Second}
	w := newWorld(t, op)
	w.store("second", w.ca.Bridge("b2"))
	dsn := pgtest.New(t, pgtest.Config{Fsync: true}).DSN()
	shared := []string{"--db=" + dsn, "--store-key=" + w.path("shared.key")}
	first := w.spawn(shared...)
	c := w.car("car-1")
	sealing := c.hello()
	w.spawn(append(shared, "--cert="+w.path("second.crt"), "--key="+w.path("second.key"))...)
	eventually(t, "the second bridge", func() bool { return len(c.welcome().Peers) == 1 })
	m := c.signIn(sealing, "anna@example.com")
	c.insist(m, pending)
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	for _, r := range op.Requests() {
		op.Approve(r.AuthReqID)
	}
	c.insist(m, granted)
	if s := op.Stats(); s.Rang != 1 || s.Redeemed != 1 {
		t.Errorf("the provider saw %+v", s)
	}
}
