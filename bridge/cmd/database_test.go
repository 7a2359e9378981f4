package cmd_test

import (
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
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
		{"postgres://carillon@db.example.com/carillon", "", w.path("s"), 2, []string{"--store-key is missing", "PostgreSQL"}},
		{"postgres://carillon@db.example.com/carillon", w.path("k"), "", 2, []string{"--seal-key is missing", "PostgreSQL"}},
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
