package provider_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// journaled returns a provider that is made from a journal.
func journaled(t *testing.T, cfg provider.Config, path string) *rig {
	t.Helper()
	j, err := provider.OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	cfg.Journal = j
	return newRig(t, cfg)
}

func events(t *testing.T, path string) (kinds []provider.EventKind) {
	t.Helper()
	_, err := provider.ReadEvents(path, 0, func(e provider.Event) {
		if e.Subject != anna || e.RequestID == "" || e.Time.IsZero() {
			t.Errorf("event %+v says too little", e)
		}
		kinds = append(kinds, e.Kind)
	})
	if err != nil {
		t.Fatal(err)
	}
	return kinds
}

// A provider is killed after each write of a sign-in, in the middle of the next
// one. It goes on with what it had said, and the person's phone rings once.
func TestKilledAtEveryWrite(t *testing.T) {
	dir := t.TempDir()
	cfg := config(t)
	whole := filepath.Join(dir, "whole")
	r := journaled(t, cfg, whole)
	id, asked := r.ring()
	if err := r.op.Approve(t.Context(), asked.ID, provider.Approval{}); err != nil {
		t.Fatal(err)
	}
	claims := tokens(t, r, r.poll(id))
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	if len(lines) != 4 {
		t.Fatalf("%d lines", len(lines))
	}
	for n := range lines[:len(lines)-1] {
		path := filepath.Join(dir, "killed")
		left := slices.Concat(bytes.Join(lines[:n], nil), lines[n][:len(lines[n])/2])
		if err := os.WriteFile(path, left, 0o600); err != nil {
			t.Fatal(err)
		}
		r := journaled(t, cfg, path)
		if n == 0 { // it had said nothing yet
			r.poll(id).want(t, 400, "invalid_grant")
			continue
		}
		if n := r.op.Rings(anna); n != 1 {
			t.Errorf("%d rings", n)
		}
		if pending := r.op.Pending(anna); len(pending) == 1 {
			r.poll(id).want(t, 400, "authorization_pending")
			if p := pending[0]; p.ID != asked.ID || p.BindingMessage != asked.BindingMessage || len(p.Scopes) != len(asked.Scopes) ||
				!p.ExpiresAt.Equal(asked.ExpiresAt) || !p.CreatedAt.Equal(asked.CreatedAt) {
				t.Errorf("the phone shows %+v, showed %+v", p, asked)
			}
			if err := r.op.Approve(t.Context(), asked.ID, provider.Approval{}); err != nil {
				t.Error(err)
			}
		}
		again := tokens(t, r, r.poll(id))
		delete(again, "auth_time")
		for name := range again {
			if name != "iat" && name != "exp" && name != "jti" && name != "at_hash" && !same(again[name], claims[name]) {
				t.Errorf("killed at write %d: %s is %v, was %v", n, name, again[name], claims[name])
			}
		}
		if got := events(t, path); !slices.Equal(got, []provider.EventKind{provider.Rang, provider.Approved, provider.Redeemed}) {
			t.Errorf("killed at write %d: events %v", n, got)
		}
	}
}

// tokens returns the claims of the ID token in an answer.
func tokens(t *testing.T, r *rig, a answer) map[string]any {
	t.Helper()
	if a.status != 200 {
		t.Fatalf("token: %d %v", a.status, a.json)
	}
	_, claims := r.open(a.str("id_token"))
	if _, ok := claims["auth_time"].(float64); !ok {
		t.Errorf("auth_time is %v", claims["auth_time"])
	}
	return claims
}

func same(a, b any) bool {
	x, ok := a.([]any)
	y, also := b.([]any)
	if ok && also {
		return slices.Equal(x, y)
	}
	return a == b
}

// What is over stays over: a spent request, a denied one, a rotated token.
func TestJournalKeepsEndings(t *testing.T) {
	cfg, path := config(t), filepath.Join(t.TempDir(), "journal")
	r := journaled(t, cfg, path)
	denied, asked := r.ring()
	if err := r.op.Deny(t.Context(), asked.ID); err != nil {
		t.Fatal(err)
	}
	spent, asked := r.ring()
	if err := r.op.Approve(t.Context(), asked.ID, provider.Approval{}); err != nil {
		t.Fatal(err)
	}
	first := r.poll(spent).str("refresh_token")
	second := r.refresh(first).str("refresh_token")

	r = journaled(t, cfg, path)
	r.poll(denied).want(t, 400, "access_denied")
	if len(r.op.Pending(anna)) != 0 || r.op.Rings(anna) != 2 {
		t.Errorf("%d pending, %d rings", len(r.op.Pending(anna)), r.op.Rings(anna))
	}
	third := r.refresh(second)
	if third.status != 200 {
		t.Fatalf("refresh: %d %v", third.status, third.json)
	}
	r.poll(spent).want(t, 400, "invalid_grant")

	r = journaled(t, cfg, path)
	r.refresh(third.str("refresh_token")).want(t, 400, "invalid_grant") // the replay has revoked it
	want := []provider.EventKind{provider.Rang, provider.Denied, provider.Rang, provider.Approved, provider.Redeemed, provider.Replayed}
	if got := events(t, path); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// A journal that is not this provider's is refused, with the line.
func TestForeignJournal(t *testing.T) {
	cfg, path := config(t), filepath.Join(t.TempDir(), "journal")
	journaled(t, cfg, path).ring()
	strangers := cfg
	strangers.People = cfg.People[1:]
	for _, c := range []struct {
		name string
		cfg  provider.Config
		edit func(string) string
		want string
	}{
		{"another's people", strangers, func(s string) string { return s }, "line 1: no person"},
		{"no JSON", cfg, func(s string) string { return s + "what?\n" }, "line 2: invalid character"},
		{"no beginning", cfg, func(s string) string { return strings.Replace(s, `"request":`, `"other":`, 1) }, "before it is made"},
	} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damaged := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(damaged, []byte(c.edit(string(data))), 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := provider.OpenJournal(damaged)
		if err != nil {
			t.Fatal(err)
		}
		c.cfg.Journal = j
		if _, err := provider.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		j.Close()
	}
}

// A provider that cannot write takes nothing on.
func TestClosedJournal(t *testing.T) {
	j, err := provider.OpenJournal(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	cfg.Journal = j
	r := newRig(t, cfg)
	_, asked := r.ring()
	j.Close()
	if a := r.post("/bc-authorize", "scope", "openid seat", "login_hint", "bela@example.com"); a.status != 500 {
		t.Errorf("bc-authorize: %d %v", a.status, a.json)
	}
	if err := r.op.Approve(t.Context(), asked.ID, provider.Approval{}); err == nil {
		t.Error("approved")
	}
	if len(r.op.Pending("u-8vt4c1np")) != 0 {
		t.Error("a phone rings for what was refused")
	}
}
