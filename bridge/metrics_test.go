package bridge_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/schemas"
)

// gathered returns the value of one series, such as
// carillon_bridge_requests_total{kind="sign_in",outcome="granted"}; of a histogram, how much was
// observed. It fails if there is no such series, which a test would take for 0.
func gathered(t testing.TB, set *metrics.Set, series string) float64 {
	t.Helper()
	families, err := set.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if name(f, m) == series {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	t.Fatalf("there is no metric %s", series)
	return 0
}

func name(f *dto.MetricFamily, m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	if labels == nil {
		return f.GetName()
	}
	return f.GetName() + "{" + strings.Join(labels, ",") + "}"
}

// What happens is counted, under labels that are there before anything happens.
func TestMetrics(t *testing.T) {
	op := &cibatest.Provider{
		Interval: time.Second,
		Token:    cibatest.Sequence(cibatest.HTML(503)),
		Subject:  func(hint string) (string, bool) { return hint, hint != "nobody@example.com" },
	}
	inWorld(t, op, func(w *world) {
		w.policy.PerDevice = policy.Rate{Burst: 2, Every: time.Hour}
		w.start()
		slow, other, car := w.car("car-1"), w.car("car-2"), w.car("car-3")

		op.OnRequest = func(r cibatest.Request) { time.AfterFunc(20*time.Second, func() { op.Approve(r.AuthReqID) }) }
		slow.mute = true // sends its receipt after eight seconds
		m := slow.signIn("anna@example.com")
		slow.send(m)
		time.Sleep(10 * time.Second)
		other.refused(other.signIn("anna@example.com"), schemas.AlreadyRinging)
		slow.await(m.ID, time.Minute)
		time.Sleep(8 * time.Second)
		slow.send(&schemas.Receipt{ID: m.ID})

		op.OnRequest = func(r cibatest.Request) { time.AfterFunc(5*time.Second, func() { op.Deny(r.AuthReqID) }) }
		car.refused(car.signIn("bela@example.com"), schemas.AccessDenied)
		car.refused(car.signIn("bela@example.com"), schemas.TooManyRequests) // cool-down
		car.refused(car.signIn("nobody@example.com"), schemas.UnknownPerson)
		car.refused(car.signIn("chidi@example.com"), schemas.TooManyRequests) // quota
		time.Sleep(15 * time.Second)

		for series, want := range map[string]float64{
			"pushes_total": 3,
			`requests_total{kind="sign_in",outcome="granted"}`:                              1,
			`requests_total{kind="sign_in",outcome="access_denied"}`:                        1,
			`requests_total{kind="sign_in",outcome="already_ringing"}`:                      1,
			`requests_total{kind="sign_in",outcome="too_many_requests"}`:                    2,
			`requests_total{kind="sign_in",outcome="unknown_person"}`:                       1,
			`requests_total{kind="sign_in",outcome="interrupted"}`:                          0,
			`requests_total{kind="sign_in",outcome="other"}`:                                0,
			`pushes_suppressed_total{reason="already_ringing"}`:                             1,
			`pushes_suppressed_total{reason="cool_down"}`:                                   1,
			`pushes_suppressed_total{reason="device_quota"}`:                                1,
			`pushes_suppressed_total{reason="person_quota"}`:                                0,
			`requests_open{state="waiting"}`:                                                0,
			`decision_seconds{decision="approved"}`:                                         1,
			`decision_seconds{decision="denied"}`:                                           1,
			"receipt_seconds":                                                               1,
			`stage_seconds{stage="accept"}`:                                                 3,
			`stage_seconds{stage="pending"}`:                                                2,
			`stage_seconds{stage="answer"}`:                                                 2,
			`stage_seconds{stage="receipt"}`:                                                6,
			`provider_calls_total{call="backchannel_authentication",result="ok"}`:           2,
			`provider_calls_total{call="backchannel_authentication",result="unknown_user"}`: 1,
			`provider_calls_total{call="token",result="unavailable"}`:                       1,
			`provider_calls_total{call="token",result="ok"}`:                                1,
			`provider_calls_total{call="token",result="denied"}`:                            1,
			`publications_total{result="unsent"}`:                                           0,
			`queue_length{queue="intake"}`:                                                  0,
			`provider_calls_limit{call="token"}`:                                            256,
		} {
			if n := gathered(t, w.metrics, "carillon_bridge_"+series); n != want {
				t.Errorf("%s is %v, want %v", series, n, want)
			}
		}
		for _, series := range []string{"poll_lateness_seconds", "store_commit_seconds", "store_write_seconds", "store_batch_writes", `store_claim_seconds{state="waiting"}`} {
			if gathered(t, w.metrics, "carillon_bridge_"+series) == 0 {
				t.Errorf("%s has observed nothing", series)
			}
		}
	})
}
