package enroll_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

const day = 24 * time.Hour

// device holds a certificate in memory and writes down what happens to it.
type device struct {
	mu      sync.Mutex // guards everything
	cert    *tls.Certificate
	full    bool // the disk
	stored  []time.Time
	offered [][]*x509.Certificate
	log     bytes.Buffer
}

func (d *device) certificate() (*tls.Certificate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cert, nil
}

// Write makes the device its own log.
func (d *device) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

// look reads or changes the device while the renewer runs.
func (d *device) look(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *device) store(key crypto.Signer, chain []*x509.Certificate) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offered = append(d.offered, chain)
	if key != nil {
		return errors.New("a renewal changed the key")
	}
	if d.full {
		return errors.New("no space left on device")
	}
	cert, err := mtls.Bundle(d.cert.PrivateKey.(crypto.Signer), chain)
	if err != nil {
		return err
	}
	d.cert, d.stored = cert, append(d.stored, time.Now())
	return nil
}

func (d *device) renewals() (n int) {
	d.look(func() { n = len(d.stored) })
	return n
}

// start runs a renewer until the test ends.
func (d *device) start(t *testing.T, c *enroll.Client) *enroll.Renewer {
	r := &enroll.Renewer{Client: c, Certificate: d.certificate, Store: d.store, Logger: slog.New(slog.NewTextHandler(d, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func newDevice(a *authority) *device {
	x1 := mtls.Identity{Role: mtls.RoleDevice, ID: "x1"}
	return &device{cert: a.Issue(mtlstest.Leaf{Identity: x1, NotAfter: time.Now().Add(60 * day)})}
}

func TestRenewerInTime(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		d := newDevice(a)
		begin := time.Now()
		r := d.start(t, a.client())
		time.Sleep(36 * day)
		d.look(func() {
			if len(d.stored) != 0 {
				t.Fatalf("renewed after %v of 60 days", d.stored[0].Sub(begin))
			}
		})
		if s := r.Status(); !s.NotAfter.Equal(begin.Add(60*day)) || s.Due.Sub(begin) < 37*day-time.Hour || s.Due.Sub(begin) > 40*day {
			t.Errorf("status %+v, want it due between day 37 and 40", s)
		}
		time.Sleep(4*day + 2*time.Hour)
		if n := d.renewals(); n != 1 {
			t.Fatalf("%d renewals by day 40, want 1", n)
		}
		time.Sleep(360 * day)
		n := d.renewals()
		if n < 9 || n > 11 {
			t.Errorf("%d renewals in 400 days, want about 10", n)
		}
		if s := r.Status(); s.Renewals != n || s.Err != nil {
			t.Errorf("status %+v after %d renewals", s, n)
		}
	})
}

// Renewals of a fleet enrolled at one moment are spread over days.
func TestRenewerSpread(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		begin := time.Now()
		hours := make(map[int]bool)
		for range 30 {
			r := newDevice(a).start(t, a.client())
			time.Sleep(time.Millisecond)
			hours[int(r.Status().Due.Sub(begin)/time.Hour)] = true
		}
		if len(hours) < 10 {
			t.Errorf("30 devices renew in %d different hours", len(hours))
		}
	})
}

func TestRenewerAuthorityDown(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		d := newDevice(a)
		a.setDown(true)
		r := d.start(t, a.client())
		time.Sleep(50 * day)
		if s := r.Status(); s.Err == nil || !strings.Contains(s.Err.Error(), "connection refused") {
			t.Errorf("status %+v, want the reason", s)
		}
		d.look(func() {
			if n := strings.Count(d.log.String(), "not renewed"); n < 10*20 || n > 14*30 {
				t.Errorf("%d attempts in 10 days, want about one an hour", n)
			}
		})
		a.setDown(false)
		time.Sleep(2 * time.Hour)
		if n := d.renewals(); n != 1 || r.Status().Err != nil {
			t.Errorf("%d renewals after the authority came back, %v", n, r.Status().Err)
		}
	})
}

// A revoked device asks again, but hardly.
func TestRenewerRefused(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		d := newDevice(a)
		time.Sleep(45 * day)
		a.answer(func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 401, map[string]any{"message": "certificate has been revoked"})
		})
		r := d.start(t, a.client())
		time.Sleep(day)
		if n := a.called("/renew"); n < 20 || n > 35 {
			t.Errorf("%d attempts in a day, want about one an hour", n)
		}
		if s := r.Status(); s.Err == nil || !strings.Contains(s.Err.Error(), "revoked") {
			t.Errorf("status %+v, want the reason", s)
		}
	})
}

// A renewed certificate that cannot be stored is offered again and not fetched
// again.
func TestRenewerDiskFull(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		d := newDevice(a)
		d.full = true
		time.Sleep(45 * day)
		d.start(t, a.client())
		time.Sleep(time.Hour)
		d.look(func() { d.full = false })
		time.Sleep(2 * time.Hour)
		if n := a.called("/renew"); n != 1 {
			t.Errorf("%d certificates issued, want 1", n)
		}
		d.look(func() {
			if len(d.stored) != 1 || len(d.offered) < 3 || d.cert.Leaf != d.offered[0][0] {
				t.Errorf("stored %d times, offered %d times", len(d.stored), len(d.offered))
			}
		})
	})
}

// To a clock in the far future every certificate has expired. Every certificate
// is still used for a while.
func TestRenewerFutureClock(t *testing.T) {
	bubble(t, func(t *testing.T, a *authority) {
		d := newDevice(a)
		r := &enroll.Renewer{
			Client: a.client(), Certificate: d.certificate, Store: d.store, Logger: slog.New(slog.DiscardHandler),
		}
		// The future does not reach the connection, whose server it would refuse.
		r.Client.Transport = &http.Transport{
			DialContext: a.dial, DisableKeepAlives: true,
			TLSClientConfig: mtls.ClientConfig(a.Roots(), mtls.Fixed(d.cert), "pki.example.com"),
		}
		r.Client.Clock = func() time.Time { return time.Now().Add(100 * 365 * day) }
		ctx, cancel := context.WithTimeout(t.Context(), 10*day)
		defer cancel()
		_ = r.Run(ctx)
		if n := a.called("/renew"); n != 1 {
			t.Errorf("%d calls in 10 days, want 1", n)
		}
		if n := d.renewals(); n != 1 {
			t.Errorf("%d renewals in 10 days of a life of 60, want the one", n)
		}
	})
}

func TestRenewerMisused(t *testing.T) {
	if err := (&enroll.Renewer{}).Run(t.Context()); err == nil {
		t.Error("ran without anything to renew")
	}
}
