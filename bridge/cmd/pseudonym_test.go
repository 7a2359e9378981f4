package cmd_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// The command finds the device that the log speaks of, while the bridge runs.
func TestPseudonym(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{AutoApprove: time.Millisecond, Interval: time.Second})
	bridge := w.spawn()
	c := w.car("car-1")
	c.insist(c.signIn(c.hello(), "anna@example.com"), granted)
	w.car("car-2").hello()

	code, stdout, stderr := w.main(append(args("pseudonym", w.flags()), "car-1")...)
	name, device, _ := strings.Cut(strings.TrimSpace(stdout), "  ")
	if code != 0 || device != "car-1" || len(name) != 16 {
		t.Fatalf("exit status %d: %q%s", code, stdout, stderr)
	}
	said := bridge.Stderr.(*log).String()
	if !contains(said, "device="+name, "outcome=granted") || strings.Contains(said, "car-1") {
		t.Errorf("the log does not call car-1 %s:\n%s", name, said)
	}
	if _, all, _ := w.main(args("pseudonym", w.flags())...); strings.Count(all, "\n") != 2 || !contains(all, name+"  car-1\n", "  car-2\n") {
		t.Errorf("of all devices: %q", all)
	}
	var found struct{ Device, Pseudonym string }
	_, stdout, _ = w.main(append(args("pseudonym", w.flags()), "--json", "car-1")...)
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || found.Device != "car-1" || found.Pseudonym != name {
		t.Errorf("%q: %v", stdout, err)
	}
	if code, _, stderr := w.main(append(args("pseudonym", w.flags()), "Car 1")...); code != 2 || !contains(stderr, `"Car 1"`) {
		t.Errorf("exit status %d: %s", code, stderr)
	}
	w.write("other.key", strings.Repeat("ab", 32))
	if code, _, stderr := w.main(append(args("pseudonym", w.flags()), "--store-key="+w.path("other.key"))...); code != 1 || !contains(stderr, "--db", "not among the keys given") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
}
