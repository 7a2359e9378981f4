package cmd_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// A bridge goes on with a back-up that was made while another one worked.
func TestBackup(t *testing.T) {
	op := &cibatest.Provider{Interval: time.Second}
	w := newWorld(t, op)
	bridge := w.spawn()
	c := w.car("car-1")
	m := c.signIn(c.hello(), "anna@example.com")
	c.insist(m, pending)
	backup := w.path("backup.db")
	command := []string{"backup", "--db=" + w.path("bridge.db"), backup}
	if code, stdout, stderr := w.main(command...); code != 0 || !contains(stdout, backup, w.path("bridge.db")) {
		t.Fatalf("exit status %d: %s%s", code, stdout, stderr)
	}
	if code, _, stderr := w.main(command...); code != 1 || !contains(stderr, backup, "exists") {
		t.Errorf("over a back-up: exit status %d: %s", code, stderr)
	}
	if err := bridge.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = bridge.Wait()
	for _, ending := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(w.path("bridge.db" + ending)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(backup, w.path("bridge.db")); err != nil {
		t.Fatal(err)
	}
	for _, r := range op.Requests() {
		op.Approve(r.AuthReqID)
	}
	w.spawn()
	c.insist(m, granted)
	if s := op.Stats(); s.Rang != 1 || s.Redeemed != 1 {
		t.Errorf("the provider saw %+v", s)
	}
}

func TestBackupUsage(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"backup"}, "name of a new file"},
		{[]string{"backup", "a", "b"}, "found 2"},
		{[]string{"backup", "--db=postgres://db.example.com/carillon", "a"}, "pg_dump"},
	} {
		if code, _, stderr := w.main(c.args...); code != 2 || !contains(stderr, c.want) {
			t.Errorf("%q: exit status %d: %s", c.args, code, stderr)
		}
	}
}

// A dry run says what is then done, and does nothing.
func TestMigrate(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	migrate := func(more ...string) (plan struct {
		Version, Wanted int
		Steps           []string
		Done            bool
	}) {
		t.Helper()
		code, stdout, stderr := w.main(append([]string{"migrate", "--json", "--db=" + w.path("bridge.db")}, more...)...)
		if err := json.Unmarshal([]byte(stdout), &plan); code != 0 || err != nil {
			t.Fatalf("exit status %d, %v: %s%s", code, err, stdout, stderr)
		}
		return plan
	}
	planned := migrate("--dry-run")
	if planned.Done || planned.Version != 0 || planned.Wanted == 0 || len(planned.Steps) != planned.Wanted {
		t.Errorf("planned %+v", planned)
	}
	if _, err := os.Stat(w.path("bridge.db")); err == nil {
		t.Error("a dry run has made a database")
	}
	done := migrate()
	if planned.Done = true; !reflect.DeepEqual(done, planned) {
		t.Errorf("done %+v, planned %+v", done, planned)
	}
	if again := migrate(); again.Version != done.Wanted || len(again.Steps) != 0 {
		t.Errorf("again %+v", again)
	}
	code, stdout, _ := w.main("migrate", "--dry-run", "--db="+w.path("other.db"))
	if code != 0 || !contains(stdout, "version 0", "would be changed by 00001_first.sql") {
		t.Errorf("exit status %d: %s", code, stdout)
	}
	if code, _, stderr := w.main("migrate", "now"); code != 2 || !strings.Contains(stderr, "now") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
}
