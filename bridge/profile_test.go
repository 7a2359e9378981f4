package bridge_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
	"github.com/go-jose/go-jose/v4"
)

// authOf is a way to authenticate that the provider has: a secret if it can be.
func authOf(t testing.TB, op *cibatest.Provider) ciba.Authenticator {
	t.Helper()
	if methods := op.Like.Client.Auth; methods == nil || slices.Contains(methods, profile.ClientSecretBasic) {
		return ciba.ClientSecretBasic(cmp.Or(op.ClientSecret, cibatest.ClientSecret))
	}
	key := mtlstest.Key(t)
	op.ClientKeys = []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1"}}
	auth, err := ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: key, KeyID: "k1"})
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

// like returns a provider that is like a row of the table.
func like(t *testing.T, name string) *cibatest.Provider {
	t.Helper()
	row, err := profile.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return &cibatest.Provider{Like: row}
}

// Whichever provider it is, and however it delivers, the device hears the same.
func TestProfiles(t *testing.T) {
	for _, row := range profile.All() {
		modes := row.Client.Delivery
		if modes == nil {
			modes = []string{profile.Poll, profile.Ping, profile.Push}
		}
		for _, mode := range modes {
			for name, test := range map[string]func(*testing.T, *cibatest.Provider){
				"approved": approved, "denied": denied, "nobody answers": nobodyAnswers,
				"unknown person": unknownPerson, "too fast": tooFast,
			} {
				t.Run(row.Name+"/"+mode+"/"+name, func(t *testing.T) { test(t, &cibatest.Provider{Like: row, Delivery: mode}) })
			}
		}
	}
}

func approved(t *testing.T, op *cibatest.Provider) {
	op.AutoApprove = 7 * time.Second
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		car.grant(car.signIn("anna@example.com"))
		wantStats(t, op, cibatest.Stats{Rang: 1, Redeemed: 1})
	})
}

func denied(t *testing.T, op *cibatest.Provider) {
	inWorld(t, op, func(w *world) {
		decideAfter(op, 20*time.Second, false)
		w.start()
		car := w.car("car-1")
		if r := car.refused(car.signIn("anna@example.com"), schemas.AccessDenied); r.RetryAfter != 30 {
			t.Errorf("retry after %d s, want the cool-down", r.RetryAfter)
		}
		car.refused(car.signIn("anna@example.com"), schemas.TooManyRequests)
		wantStats(t, op, cibatest.Stats{Rang: 1})
	})
}

// nobodyAnswers: the provider's time runs from a little before ours, so it is the
// provider that says so, in its own way.
func nobodyAnswers(t *testing.T, op *cibatest.Provider) {
	op.Backchannel = cibatest.Always(func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		truth(w, r)
		time.Sleep(3 * time.Second)
	})
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		m.Expiry = 60
		begun := time.Now()
		if r := car.refused(m, schemas.Expired); r.RetryAfter != 0 {
			t.Errorf("retry after %d s: nobody has denied anything", r.RetryAfter)
		}
		if d := time.Since(begun); d < 60*time.Second || d > 64*time.Second {
			t.Errorf("refused after %v, want 61 s, or 63 s where nobody asks", d)
		}
		wantStats(t, op, cibatest.Stats{Rang: 1})
		decideAfter(op, 5*time.Second, true)
		car.grant(car.signIn("anna@example.com")) // no cool-down
	})
}

func unknownPerson(t *testing.T, op *cibatest.Provider) {
	op.AutoApprove = time.Second
	op.Subject = func(hint string) (string, bool) { return hint, hint != "nobody@example.com" }
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		car.refused(car.signIn("nobody@example.com"), schemas.UnknownPerson)
		wantStats(t, op, cibatest.Stats{})
		car.grant(car.signIn("anna@example.com"))
	})
}

// tooFast: the provider says one second, and means five.
func tooFast(t *testing.T, op *cibatest.Provider) {
	op.AutoApprove = 40 * time.Second
	op.EditAck = func(m map[string]any) { m["interval"] = 1 }
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		car.grant(car.signIn("anna@example.com"))
		early := op.Stats().Early
		switch polling := op.Like.Polling; {
		case polling.Interval && early != 1:
			t.Errorf("%d early polls, want 1: the first was told the interval", early)
		case !polling.NeverSlow && early > 5: // after 2, 8, 19, 35 and 56 s
			t.Errorf("%d early polls, want each to be slower by 5 s", early)
		}
		wantStats(t, op, cibatest.Stats{Rang: 1, Redeemed: 1, Early: early})
	})
}

// wantStats compares what the provider saw, but for how often each endpoint was
// called.
func wantStats(t *testing.T, op *cibatest.Provider, want cibatest.Stats) {
	t.Helper()
	got := op.Stats()
	got.Discovery, got.Keys, got.Backchannel, got.Token = 0, 0, 0, 0
	if got != want {
		t.Errorf("the provider saw %+v, want %+v", got, want)
	}
}

// However generous a quota is, within the provider's limits it has never to
// throttle the bridge.
func TestWithinTheProvidersLimits(t *testing.T) {
	op := like(t, "auth0")
	op.AutoApprove = time.Millisecond
	inWorld(t, op, func(w *world) {
		w.policy.PerPerson = policy.Rate{Burst: 5, Every: 10 * time.Second}.Within(op.Like.Limits.PerPerson)
		w.start()
		car := w.car("car-1")
		granted := 0
		for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); {
			switch m := car.ask(car.signIn("auth0|1")).(type) {
			case *schemas.Granted:
				granted++
			case *schemas.Refused:
				time.Sleep(time.Duration(m.RetryAfter) * time.Second)
			}
		}
		if s := op.Stats(); s.Throttled != 0 || granted != s.Rang || granted < 12 {
			t.Errorf("%d granted in three minutes, want one each 15 s; the provider saw %+v", granted, s)
		}
	})
}

// Where a login hint is a subject, it names the same person in whatever form it
// comes, and the one whom a handle names.
func TestSubjectsShareAPhone(t *testing.T) {
	op := like(t, "auth0")
	inWorld(t, op, func(w *world) {
		decideAfter(op, time.Second, true)
		w.start()
		car := w.car("car-0")
		car.grant(car.signIn("auth0|1"))
		op.OnRequest = nil
		car.send(car.signIn(""))
		time.Sleep(time.Second)
		for i, hint := range []string{
			"auth0|1", `{"format":"iss_sub","iss":"https://op.test/","sub":"auth0|1"}`,
			`{ "sub": "\u0061uth0|1", "iss": "https://op.test", "format": "iss_sub" }`,
		} {
			other := w.car(fmt.Sprintf("car-%d", i+1))
			other.refused(other.signIn(hint), schemas.AlreadyRinging)
		}
		if s := op.Stats(); s.Rang != 2 {
			t.Errorf("the phone rang %d times, want 2", s.Rang)
		}
	})
}

// A hint that is not even sent, because the provider would not take it, costs
// nobody but the device.
func TestUnsentHintCostsNobody(t *testing.T) {
	op := like(t, "auth0")
	inWorld(t, op, func(w *world) {
		decideAfter(op, time.Second, true)
		w.start()
		car, stranger := w.car("car-1"), w.car("car-2")
		for range w.policy.PerPerson.Burst + 2 {
			stranger.refused(stranger.signIn(`{"format":"iss_sub","iss":"https://other.test/","sub":"auth0|1"}`), schemas.Malformed)
		}
		m := stranger.signIn("")
		m.Person = nil
		stranger.private(m, schemas.Private{IDTokenHint: "e30.e30.e30"})
		stranger.refused(m, schemas.Malformed)
		if s := op.Stats(); s.Backchannel != 0 {
			t.Errorf("%d requests were sent", s.Backchannel)
		}
		car.grant(car.signIn("auth0|1"))
	})
}
