package bridge_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/trace"
	"github.com/carillon-iot/carillon/schemas"
)

// traced has the world's next bridge record its spans.
func (w *world) traced() *tracetest.InMemoryExporter {
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithIDGenerator(trace.IDs{}))
	w.edit = func(c *bridge.Config) { c.Traces = provider }
	return spans
}

func spanNames(spans tracetest.SpanStubs) (names []string) {
	for _, s := range spans {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

func fact(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value.AsString()
		}
	}
	return ""
}

// A sign-in that one bridge begins, and another one ends after the death of the
// first, is one trace: of steps that follow each other, under one root.
func TestOneTrace(t *testing.T) {
	const hint, name = "anna.secret@example.com", "Anna Geheim"
	var secrets []string
	op := &cibatest.Provider{
		Interval: 5 * time.Second, AutoApprove: 30 * time.Second,
		EditIDToken: func(d *cibatest.Draft) { d.Claims["name"] = name },
		EditTokens: func(m map[string]any) {
			secrets = append(secrets, m["id_token"].(string), m["access_token"].(string))
		},
		OnRequest: func(r cibatest.Request) { secrets = append(secrets, r.AuthReqID, r.BindingMessage) },
	}
	inWorld(t, op, func(w *world) {
		before := w.traced()
		w.start()
		car := w.car("car-1")
		begun := time.Now()
		m := car.signIn(hint)
		car.send(m)
		time.Sleep(12 * time.Second)
		w.kill()
		<-w.ended
		w.ended <- nil
		w.stop()

		after := w.traced()
		w.start()
		car.await(m.ID, time.Minute)
		time.Sleep(time.Second)

		first, second := before.GetSpans(), after.GetSpans()
		if got, want := spanNames(first), []string{"accept", "backchannel_authentication", "pending", "publish"}; !slices.Equal(got, want) {
			t.Errorf("the first bridge has recorded %q, want %q", got, want)
		}
		if got, want := spanNames(second), []string{"answer", "publish", "receipt", "sign_in", "token", "wait"}; !slices.Equal(got, want) {
			t.Errorf("the second bridge has recorded %q, want %q", got, want)
		}
		all := append(first, second...)
		root := all[slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return s.Name == "sign_in" })]
		if root.Parent.IsValid() || fact(root, "carillon.outcome") != "granted" || fact(root, "carillon.request") != m.ID.String() ||
			fact(root, "carillon.device") != w.store.Pseudonym("car-1") {
			t.Errorf("the root is %+v", root)
		}
		if d := root.EndTime.Sub(root.StartTime); root.StartTime.Sub(begun).Abs() > time.Second || d < 30*time.Second || d > 40*time.Second {
			t.Errorf("the root begins at %v and takes %v", root.StartTime, d)
		}
		for _, s := range all {
			if s.SpanContext.TraceID() != root.SpanContext.TraceID() {
				t.Errorf("%s is of another trace", s.Name)
			}
			if s.Name != root.Name && s.Parent.SpanID() != root.SpanContext.SpanID() {
				t.Errorf("%s has another parent", s.Name)
			}
			if s.StartTime.Before(root.StartTime) || s.EndTime.Before(s.StartTime) {
				t.Errorf("%s is from %v to %v", s.Name, s.StartTime, s.EndTime)
			}
			if s.Name == "wait" && s.EndTime.Sub(s.StartTime) < 30*time.Second {
				t.Errorf("the person has decided within %v", s.EndTime.Sub(s.StartTime))
			}
		}
		if !strings.Contains(w.logs.String(), "trace="+root.SpanContext.TraceID().String()) {
			t.Error("the log does not name the trace")
		}

		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range append(secrets, hint, name, "car-1", cibatest.ClientSecret+":", w.op.IssuerURL()) {
			if strings.Contains(string(text), secret) {
				t.Errorf("the trace has %q", secret)
			}
		}
		if len(secrets) != 4 {
			t.Errorf("this test has seen only %q", secrets)
		}
	})
}

// Whatever becomes of a request, it is told: a refusal by the policy, a provider
// that fails, a cancel, a sign-out.
func TestTraces(t *testing.T) {
	op := &cibatest.Provider{Backchannel: cibatest.Sequence(cibatest.HTML(503)), AutoApprove: time.Second}
	inWorld(t, op, func(w *world) {
		w.policy.MaxPurpose = 0
		spans := w.traced()
		w.start()
		car := w.car("car-1")
		told := func(what, outcome string) (failed []string) {
			t.Helper()
			time.Sleep(time.Second)
			roots := 0
			for _, s := range spans.GetSpans() {
				if s.Name == what && fact(s, "carillon.outcome") == outcome {
					roots++
				}
				if s.Status.Code != 0 {
					failed = append(failed, s.Name+" "+fact(s, "error.type"))
				}
			}
			if roots != 1 {
				t.Errorf("%d roots of %s that ended as %s, want 1: %q", roots, what, outcome, spanNames(spans.GetSpans()))
			}
			spans.Reset()
			return failed
		}
		talkative := car.signIn("anna@example.com")
		car.private(talkative, schemas.Private{LoginHint: "anna@example.com", Purpose: "for a reason"})
		car.refused(talkative, schemas.NotAllowed)
		told("sign_in", "not_allowed")

		car.refused(car.signIn("anna@example.com"), schemas.ProviderUnavailable)
		if got := told("sign_in", "provider_unavailable"); !slices.Equal(got, []string{"backchannel_authentication unavailable"}) {
			t.Errorf("failed steps %q", got)
		}
		m := car.signIn("anna@example.com")
		car.send(m)
		car.refused(&schemas.Cancel{ID: m.ID}, schemas.Cancelled)
		told("sign_in", "cancelled")

		car.grant(car.signIn("bela@example.com"))
		told("sign_in", "granted")
		car.ask(&schemas.SignOut{ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), All: true})
		told("sign_out", "signed_out")
	})
}
