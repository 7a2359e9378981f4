package phone_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/device-sim/phone"
	"github.com/carillon-iot/carillon/device-sim/provider"
)

const anna = "u-5kq2m7xd"

// realProvider is a provider with one client, and a function that makes it ring
// Anna.
func realProvider(t *testing.T) (*provider.Provider, func()) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "0123456789abcdef"
	op, err := provider.New(provider.Config{
		Issuer: "https://op.example.com", Resource: "https://settings.example.com", Key: key,
		Clients: []provider.Client{{ID: "bridge", Secret: secret}}, People: provider.SamplePeople(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return op, func() {
		t.Helper()
		form := url.Values{"scope": {"openid"}, "login_hint": {anna}}
		req := httptest.NewRequest(http.MethodPost, "https://op.example.com/bc-authorize", strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("bridge", secret)
		rec := httptest.NewRecorder()
		if op.ServeHTTP(rec, req); rec.Code != http.StatusOK {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
}

// Of two phones of one person both ring, one decides, and the other's prompt
// goes away.
func TestTwoPhones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op, ring := realProvider(t)
		prompt := func(ctx context.Context, _ provider.Request) phone.Decision {
			<-ctx.Done()
			return phone.Decision{}
		}
		first, firstEnds := switchOn(t, op, prompt)
		second, secondEnds := switchOn(t, op, phone.After(10*time.Second, phone.Approve))
		ring()
		time.Sleep(9 * time.Second)
		if len(firstEnds()) != 0 || first.Total() != 1 || second.Total() != 1 {
			t.Errorf("before the decision: ends %v, rings %d and %d", firstEnds(), first.Total(), second.Total())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if e := firstEnds(); len(e) != 1 || e[0].verdict != phone.Ignored {
			t.Errorf("the prompt on the first phone ended as %v", e)
		}
		if e := secondEnds(); len(e) != 1 || e[0].verdict != phone.Approved || e[0].failed {
			t.Errorf("the second phone: %v", e)
		}
		if op.Rings(anna) != 1 || len(op.Pending(anna)) != 0 {
			t.Errorf("the provider counts %d rings, %d pending", op.Rings(anna), len(op.Pending(anna)))
		}
	})
}

// A phone that is switched on late shows what is pending, and many requests are
// each decided.
func TestLatePhone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op, ring := realProvider(t)
		for range 50 {
			ring()
		}
		p, ends := switchOn(t, op, phone.Approve)
		synctest.Wait()
		if p.Total() != 50 || len(ends()) != 50 || len(op.Pending(anna)) != 0 {
			t.Errorf("%d rings, %d decided, %d pending", p.Total(), len(ends()), len(op.Pending(anna)))
		}
		for _, e := range ends() {
			if e.verdict != phone.Approved || e.failed {
				t.Errorf("request %s: %v", e.id, e)
			}
		}
	})
}

func TestPhoneOfNobody(t *testing.T) {
	op, _ := realProvider(t)
	p, err := phone.New(phone.Config{Provider: op, Subject: "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err == nil {
		t.Error("the phone of nobody runs")
	}
}
