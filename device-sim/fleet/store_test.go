package fleet

import "testing"

// A database of somebody else's is named without its password.
func TestDatabaseName(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://carillon:geheim@db.example.com:5432/carillon?sslmode=require": "postgres://db.example.com:5432/carillon",
		"postgres://db.example.com": "postgres://db.example.com",
		"postgres://a:geheim@%zz":   "postgres",
	} {
		if got := (Database{URL: url}).String(); got != want {
			t.Errorf("%s is named %q, want %q", url, got, want)
		}
	}
}
