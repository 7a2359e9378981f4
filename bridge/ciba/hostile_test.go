package ciba_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest/hostile"
)

func edits(name string, value any) func(map[string]any) {
	return func(m map[string]any) {
		if value == nil {
			delete(m, name)
		} else {
			m[name] = value
		}
	}
}

// TestHostileProvider plays the list of misbehaviours: what becomes of a sign-in,
// when, and how often the provider was asked.
func TestHostileProvider(t *testing.T) {
	names := make(map[string]bool)
	for _, g := range hostile.Groups() {
		for _, row := range g.Rows {
			if names[row.Name] {
				t.Errorf("there are two rows %q", row.Name)
			}
			names[row.Name] = true
			t.Run(row.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { play(t, g, row) })
			})
		}
	}
}

func play(t *testing.T, g hostile.Group, row hostile.Row) {
	start := time.Now()
	var took time.Duration
	var tokens *ciba.Tokens
	var err error
	if row.Provider.Delivery != "" {
		tokens, took, err = playNotified(t, row)
	} else {
		hc := hostile.HTTPClient(row.Provider)
		defer hc.CloseIdleConnections()
		client := newClient(t, row.Provider, func(cfg *ciba.Config) { cfg.HTTPClient = hc })
		tokens, err = signIn(t, client, start)
		took = time.Since(start)
	}
	if took != row.After {
		t.Errorf("ended after %v, want %v", took, row.After)
	}
	if wanted := g.Outcome.Classes == nil && g.Stage == hostile.Redeemed; wanted && err != nil {
		t.Errorf("refused: %v", err)
	} else if !wanted {
		wantClasses(t, err, g.Outcome.Classes...)
		wantText(t, row, tokens, err)
	}
	wantStats(t, g, row)
}

// signIn runs the sign-in of package hostile.
func signIn(t *testing.T, client *ciba.Client, start time.Time) (*ciba.Tokens, error) {
	ack, err := client.RequestAuthentication(t.Context(), hostile.Request())
	if err != nil {
		return nil, err
	}
	return client.Wait(t.Context(), ack, hostile.Expect(start))
}

// wantText checks that an error says what is wrong, and nothing that is secret.
func wantText(t *testing.T, row hostile.Row, tokens *ciba.Tokens, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if tokens != nil {
		t.Error("tokens were returned beside an error")
	}
	if !strings.Contains(err.Error(), row.Says) {
		t.Errorf("error %q does not say %q", err, row.Says)
	}
	if len(err.Error()) > 1000 {
		t.Errorf("error has %d bytes", len(err.Error()))
	}
	for _, secret := range row.Provider.Secrets() {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q contains %q", err, secret)
		}
	}
}

func wantStats(t *testing.T, g hostile.Group, row hostile.Row) {
	t.Helper()
	s, asked := row.Provider.Stats(), 1+row.Others
	if g.Stage == hostile.Unasked {
		asked = 0
	}
	if row.Provider.Delivery == "push" && s.Token > 0 {
		t.Errorf("the token endpoint was asked %d times by a client that is pushed to", s.Token)
	}
	if s.Early+s.Overlapping != 0 || s.AfterEnd != row.AfterEnd || s.Backchannel != asked || s.Rang > asked || s.Redeemed != row.Redeemed {
		t.Errorf("provider saw %+v, want %d authentication requests, %d redeemed %d polls after the end, and none too early", s, asked, row.Redeemed, row.AfterEnd)
	}
}

// TestErrorDetails: what a caller passes on to people and schedulers.
func TestErrorDetails(t *testing.T) {
	op := &cibatest.Provider{Backchannel: func(int) cibatest.Fault {
		return cibatest.Answer(400, "application/json", `{"error":"slow_down","error_description":"wait\u0000\u202e a\nbit`+strings.Repeat("é", 300)+`","interval":40}`)
	}}
	_, err := newClient(t, op).RequestAuthentication(t.Context(), anna())
	var e *ciba.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *ciba.Error", err)
	}
	if e.Endpoint != "backchannel authentication" || e.Code != ciba.CodeSlowDown || e.Status != 400 || e.Interval != 40*time.Second {
		t.Errorf("details are %+v", *e)
	}
	if !strings.HasPrefix(e.Description, "wait?? a?bit") || len(e.Description) > 256 || strings.HasSuffix(e.Description, "\xc3") {
		t.Errorf("description is not cleaned: %q", e.Description)
	}
}

// TestRetryAfter: seconds, a date, and what is neither.
func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"90":                            90 * time.Second,
		"-5":                            0,
		"soon":                          0,
		"1e3":                           0,
		"99999999999999999999":          0,
		"999999999":                     24 * time.Hour,
		"Sat, 01 Jan 2000 00:01:30 GMT": 90 * time.Second,
		"Fri, 31 Dec 1999 23:59:00 GMT": 0,
		"Fri, 31 Dec 9999 23:59:00 GMT": 24 * time.Hour,
	} {
		t.Run(header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := &cibatest.Provider{Backchannel: func(int) cibatest.Fault {
					return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
						w.Header().Set("Retry-After", header)
						cibatest.HTML(503)(w, r, nil)
					}
				}}
				_, err := newClient(t, op).RequestAuthentication(t.Context(), anna())
				var e *ciba.Error
				if !errors.As(err, &e) || e.RetryAfter != want {
					t.Errorf("error %v says %v, want %v", err, e.RetryAfter, want)
				}
			})
		})
	}
}
