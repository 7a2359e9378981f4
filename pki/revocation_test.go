package pki_test

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// administration is what an operator can do, in the process of the authority
// or from outside.
type administration interface {
	List(ctx context.Context, f pki.Filter) ([]pki.Holder, error)
	Revoke(ctx context.Context, id mtls.Identity, reason pki.Reason, note string) ([]string, error)
	RevokeSerial(ctx context.Context, serial *big.Int, reason pki.Reason, note string) ([]string, error)
	Reinstate(ctx context.Context, id mtls.Identity, sameKeys bool) error
	Close() error
}

var (
	_ administration = (*pki.Authority)(nil)
	_ administration = (*pki.Remote)(nil)
)

// bothWays runs a test in the process of the authority and through its socket.
func bothWays(t *testing.T, test func(t *testing.T, w *world, admin administration)) {
	t.Helper()
	t.Run("inside", func(t *testing.T) {
		w := newWorld(t, nil)
		test(t, w, w.Authority)
	})
	t.Run("outside", func(t *testing.T) {
		w := newWorld(t, nil)
		remote, err := connect(t, w.dir)
		if err != nil {
			t.Fatal(err)
		}
		test(t, w, remote)
	})
}

// connect waits for the socket, which is made while Run starts.
func connect(t *testing.T, dir string) (remote *pki.Remote, err error) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if remote, err = pki.Connect(t.Context(), dir); err == nil {
			return remote, nil
		}
	}
	return nil, err
}

// relying is a party in another process, with what it can know.
func (w *world) relying() *mtls.RevocationList {
	w.t.Helper()
	list, err := mtls.NewRevocationList(mtls.RevocationConfig{
		Source:  w.client.CRL,
		Issuers: []*x509.Certificate{w.Intermediate()},
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// wantRevoked asserts which certificates are revoked, to everybody who asks.
func (w *world) wantRevoked(what string, revoked []enrolled, good []enrolled) {
	w.t.Helper()
	list := w.relying()
	if err := list.Refresh(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	for i, group := range [][]enrolled{good, revoked} {
		for _, e := range group {
			want := i == 1
			if got := w.IsRevoked(e.leaf()); got != want {
				w.t.Errorf("%s: IsRevoked(%s %d) = %v, want %v", what, e.leaf().Subject, e.leaf().SerialNumber, got, want)
			}
			if got := list.Revoked(e.leaf()); got != want {
				w.t.Errorf("%s: on the list %v, want %v", what, got, want)
			}
			if _, err := w.renew(e); (err != nil) != want {
				w.t.Errorf("%s: renewal: %v, want an error %v", what, err, want)
			}
		}
	}
}

func mustRenew(t *testing.T, w *world, e enrolled) enrolled {
	t.Helper()
	renewed, err := w.renew(e)
	if err != nil {
		t.Fatal(err)
	}
	return renewed
}

func TestRevokeHolder(t *testing.T) {
	bothWays(t, func(t *testing.T, w *world, admin administration) {
		first := w.enroll(device("x1"))
		second := mustRenew(t, w, first)
		reserved := w.enroll(device("x1")) // another key of the same device
		bystander, namesake := w.enroll(device("x2")), w.enroll(broker("x1"), "mq.example.com")
		unspent := w.token(device("x1"), pki.TokenOptions{})

		serials, err := admin.Revoke(t.Context(), device("x1"), pki.ReasonKeyCompromise, "stolen in Aachen")
		if err != nil {
			t.Fatal(err)
		}
		if len(serials) != 3 {
			t.Errorf("revoked %q, want 3 certificates", serials)
		}
		w.wantRevoked("revoked", []enrolled{first, second, reserved}, []enrolled{bystander, namesake})
		_, err = w.client.Enroll(t.Context(), unspent, mtlstest.Key(t))
		wantError(t, "token from before", err, "401", "urn:carillon:device:x1", "the holder has been revoked on")
		if again, err := admin.Revoke(t.Context(), device("x1"), pki.ReasonUnspecified, ""); err != nil || len(again) != 0 {
			t.Errorf("revoking again: %q, %v", again, err)
		}
		holders, err := admin.List(t.Context(), pki.Filter{Role: mtls.RoleDevice, ID: "x1"})
		if err != nil || len(holders) != 1 || holders[0].Revoked == nil || holders[0].Note != "stolen in Aachen" || len(holders[0].Certificates) != 3 || !holders[0].Certificates[0].Revoked {
			t.Errorf("listed as %+v, %v", holders, err)
		}

		// Found again: a new key, and the old ones stay revoked.
		if err := admin.Reinstate(t.Context(), device("x1"), false); err != nil {
			t.Fatal(err)
		}
		_, err = w.client.Enroll(t.Context(), unspent, first.key)
		wantError(t, "old key after a reinstatement", err, "401", "the key has been revoked")
		fresh := w.enroll(device("x1"))
		w.wantRevoked("reinstated", []enrolled{first, second, reserved}, []enrolled{fresh, bystander})
		if err := admin.Reinstate(t.Context(), device("x1"), false); !errors.Is(err, pki.ErrUnknown) {
			t.Errorf("reinstating what is not revoked: %v, want ErrUnknown", err)
		}
		assertNoSecrets(t, w, unspent)
	})
}

// A device that cannot make another key, revoked by mistake.
func TestReinstateWithTheSameKey(t *testing.T) {
	w := newWorld(t, nil)
	e := w.enroll(device("x1"))
	if _, err := w.Revoke(t.Context(), device("x1"), pki.ReasonUnspecified, "wrong car"); err != nil {
		t.Fatal(err)
	}
	if err := w.Reinstate(t.Context(), device("x1"), true); err != nil {
		t.Fatal(err)
	}
	chain, err := w.client.Enroll(t.Context(), w.token(device("x1"), pki.TokenOptions{}), e.key)
	if err != nil {
		t.Fatal(err)
	}
	w.wantRevoked("reinstated", []enrolled{e}, []enrolled{{chain, e.key}})
}

// A device can be revoked before anybody has seen it.
func TestRevokeInAdvance(t *testing.T) {
	w := newWorld(t, nil)
	token := w.token(device("x1"), pki.TokenOptions{})
	if _, err := w.Revoke(t.Context(), device("x1"), pki.ReasonUnspecified, ""); err != nil {
		t.Fatal(err)
	}
	_, err := w.client.Enroll(t.Context(), token, mtlstest.Key(t))
	wantError(t, "enrolment", err, "has been revoked")
	_, err = w.Issue(pki.IssueRequest{Identity: device("x1"), PublicKey: mtlstest.Key(t).Public()})
	wantError(t, "issue", err, "has been revoked")
}

// A certificate that was renewed before it was revoked: its successor goes too.
func TestRevokeSerial(t *testing.T) {
	bothWays(t, func(t *testing.T, w *world, admin administration) {
		first := w.enroll(device("x1"))
		second := mustRenew(t, w, first)
		other := w.enroll(device("x1"))
		serials, err := admin.RevokeSerial(t.Context(), first.leaf().SerialNumber, pki.ReasonUnspecified, "")
		if err != nil || len(serials) != 2 || !slices.Contains(serials, second.leaf().SerialNumber.String()) {
			t.Errorf("revoked %q, %v, want the certificate and its successor", serials, err)
		}
		w.wantRevoked("revoked", []enrolled{first, second}, []enrolled{other})
		_, err = w.client.Enroll(t.Context(), w.token(device("x1"), pki.TokenOptions{}), first.key)
		wantError(t, "revoked key with a new token", err, "the key has been revoked")

		_, err = admin.RevokeSerial(t.Context(), big.NewInt(42), pki.ReasonUnspecified, "")
		if !errors.Is(err, pki.ErrUnknown) {
			t.Errorf("unknown serial number: %v, want ErrUnknown", err)
		}
	})
}

func TestRevokeSuperseded(t *testing.T) {
	w := newWorld(t, nil)
	first := w.enroll(broker("mq"), "mq.example.com")
	second := mustRenew(t, w, first)
	if _, err := w.RevokeSerial(t.Context(), first.leaf().SerialNumber, pki.ReasonSuperseded, ""); err != nil {
		t.Fatal(err)
	}
	w.wantRevoked("superseded", []enrolled{first}, []enrolled{second})
}

// What a step CLI sends: a token for a serial number, or the certificate itself.
func TestRevokeThroughTheAPI(t *testing.T) {
	w := newWorld(t, nil)
	first := w.enroll(device("x1"))
	second, bystander := mustRenew(t, w, first), w.enroll(device("x2"))
	order := func(e enrolled, token string) map[string]any {
		return map[string]any{"serial": e.leaf().SerialNumber.String(), "ott": token, "passive": true}
	}
	token := func(serial *big.Int, role string) string {
		return w.forge(w.tokenKey(role), map[string]any{"iss": role, "sub": serial.String(), "aud": w.url + "/1.0/revoke", "sans": nil})
	}

	for name, c := range map[string]struct {
		body map[string]any
		want string
	}{
		"no token":                  {order(first, ""), "missing ott"},
		"stranger's token":          {order(first, w.forge(mtlstest.Key(t), nil)), "not one of this authority"},
		"token for a signature":     {order(first, w.token(device("x1"), pki.TokenOptions{})), "not to revoke"},
		"token for another serial":  {order(bystander, token(first.leaf().SerialNumber, "device")), "do not match"},
		"something like a serial":   {map[string]any{"serial": "DROP TABLE", "ott": token(big.NewInt(1), "device"), "passive": true}, "not a valid serial number"},
		"something like a revoking": {map[string]any{"serial": "1", "ott": token(big.NewInt(1), "device")}, "not implemented"},
	} {
		if status, answer := w.post("/1.0/revoke", c.body, nil); status < 400 || !strings.Contains(answer["message"].(string), c.want) {
			t.Errorf("%s: %d %v, want %q", name, status, answer, c.want)
		}
	}
	if status, answer := w.post("/1.0/revoke", order(bystander, ""), first.tls(t)); status != 403 {
		t.Errorf("a device revoked another: %d %v", status, answer)
	}
	w.wantRevoked("after attacks", nil, []enrolled{first, second, bystander})

	once := token(first.leaf().SerialNumber, "device")
	if status, answer := w.post("/1.0/revoke", order(first, once), nil); status != 200 {
		t.Fatalf("genuine token: %d %v", status, answer)
	}
	w.wantRevoked("by a token", []enrolled{first, second}, []enrolled{bystander})
	if status, answer := w.post("/1.0/revoke", order(first, once), nil); status != 401 {
		t.Errorf("the same token again: %d %v", status, answer)
	}
	if status, answer := w.post("/1.0/revoke", order(first, token(first.leaf().SerialNumber, "device")), nil); status != 400 || !strings.Contains(answer["message"].(string), "already revoked") {
		t.Errorf("revoked already: %d %v", status, answer)
	}
	if status, answer := w.post("/1.0/revoke", order(bystander, ""), bystander.tls(t)); status != 200 {
		t.Errorf("a device could not revoke itself: %d %v", status, answer)
	}
	w.wantRevoked("by itself", []enrolled{bystander}, nil)
}

// Renewals that race with a revocation lose, or are revoked with the rest.
func TestRevokeWhileRenewing(t *testing.T) {
	w := newWorld(t, nil)
	e := w.enroll(device("x1"))
	var mu sync.Mutex
	var all []enrolled
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				renewed, err := w.renew(e)
				if err != nil {
					return
				}
				mu.Lock()
				all = append(all, renewed)
				mu.Unlock()
			}
		})
	}
	for enough := false; !enough; {
		mu.Lock()
		enough = len(all) > 8
		mu.Unlock()
	}
	if _, err := w.Revoke(t.Context(), device("x1"), pki.ReasonKeyCompromise, ""); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	w.wantRevoked("after the race", append(all, e), nil)
}

func TestConnectErrors(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := connect(t, w.dir); err != nil {
		t.Fatal(err)
	}
	w.stop()
	if _, err := pki.Connect(t.Context(), w.dir); !errors.Is(err, pki.ErrNotRunning) {
		t.Errorf("after the authority has stopped: %v, want ErrNotRunning", err)
	}
	if _, err := pki.Connect(t.Context(), t.TempDir()); !errors.Is(err, pki.ErrNotRunning) {
		t.Errorf("nothing there: %v, want ErrNotRunning", err)
	}
}
