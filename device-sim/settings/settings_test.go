package settings_test

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/settings"
)

func TestScopesOpenBranches(t *testing.T) {
	r := newRig(t, nil)
	all := settings.Samples()[anna].Settings
	for scope, prefixes := range map[string][]string{
		"seat":                             {"Vehicle.Cabin.Seat."},
		"climate":                          {"Vehicle.Cabin.HVAC."},
		"mirrors":                          {"Vehicle.Body.Mirrors."},
		"light":                            {"Vehicle.Cabin.Light.AmbientLight."},
		"media":                            {"Vehicle.Cabin.Infotainment."},
		"openid seat media unknown":        {"Vehicle.Cabin.Seat.", "Vehicle.Cabin.Infotainment."},
		"seat climate mirrors light media": {"Vehicle."},
	} {
		want := maps.Clone(all)
		maps.DeleteFunc(want, func(path string, _ any) bool {
			return !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(path, p) })
		})
		got := read(t, r.get(r.sign(claims("scope", scope))))
		if got.VSS != "6.0" || got.Person["name"] != "Anna" || len(want) == 0 || !maps.Equal(got.Settings, want) {
			t.Errorf("%s: %+v, want %v", scope, got, want)
		}
	}
}

// A branch is opened, not everything whose name starts alike.
func TestBranchesEndAtADot(t *testing.T) {
	r := newRig(t, func(c *settings.Config) {
		c.Profiles = map[string]settings.Profile{anna: {Name: "Anna", Settings: map[string]any{
			"Vehicle.Cabin.Seat.Row1.DriverSide.Position": 1.0, "Vehicle.Cabin.SeatBelt.IsLocked": true, "Vehicle.Cabin.Seat": 2.0,
		}}}
	})
	if got := read(t, r.get(r.sign(claims()))); len(got.Settings) != 1 || got.Settings["Vehicle.Cabin.Seat.Row1.DriverSide.Position"] != 1.0 {
		t.Errorf("seat opens %v", got.Settings)
	}
}

func TestAnswer(t *testing.T) {
	r := newRig(t, nil)
	token := r.sign(claims("scope", "climate"))
	rec := r.get(token)
	const want = `{"vss":"6.0","person":{"name":"Anna"},"settings":{` +
		`"Vehicle.Cabin.HVAC.IsAirConditioningActive":true,` +
		`"Vehicle.Cabin.HVAC.Station.Row1.Driver.AirDistribution":"MIDDLE",` +
		`"Vehicle.Cabin.HVAC.Station.Row1.Driver.FanSpeed":35,` +
		`"Vehicle.Cabin.HVAC.Station.Row1.Driver.Temperature":22.5}}`
	if rec.Body.String() != want {
		t.Errorf("got  %s\nwant %s", rec.Body, want)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "Vary": "Authorization", "Content-Length": fmt.Sprint(len(want)),
	} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	wantEvent := settings.Event{Method: "GET", Status: 200, Subject: anna, Paths: 4, Bytes: len(want)}
	if len(r.events) != 1 || r.events[0] != wantEvent {
		t.Errorf("events %+v, want %+v", r.events, wantEvent)
	}
	if head := r.send(http.MethodHead, token, ""); head.Code != 200 || head.Header().Get("ETag") != rec.Header().Get("ETag") {
		t.Errorf("HEAD: %d %v", head.Code, head.Header())
	}
}

func TestETag(t *testing.T) {
	r := newRig(t, nil)
	seat, climate := r.sign(claims()), r.sign(claims("scope", "climate"))
	tag := r.get(seat).Header().Get("ETag")
	for header, want := range map[string]int{
		tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200, strings.Trim(tag, `"`): 200,
	} {
		rec := r.get(seat, "If-None-Match", header)
		if rec.Code != want || rec.Code == 304 && (rec.Body.Len() != 0 || rec.Header().Get("ETag") != tag) {
			t.Errorf("If-None-Match %s: %d %s, want %d", header, rec.Code, rec.Body, want)
		}
	}
	if rec := r.get(climate, "If-None-Match", tag); rec.Code != 200 {
		t.Errorf("the tag of other scopes matches: %d", rec.Code)
	}
	if again := r.get(r.sign(claims("jti", "t-2"))).Header().Get("ETag"); again != tag {
		t.Errorf("the tag depends on the token: %s and %s", tag, again)
	}
}

func TestWrongRequests(t *testing.T) {
	r := newRig(t, nil)
	good := r.sign(claims())
	wantProblem(t, r.get(r.sign(claims("sub", "nobody"))), 404, "")
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		rec := r.send(method, good, "")
		wantProblem(t, rec, 405, "")
		if rec.Header().Get("Allow") != "GET, HEAD, PATCH" {
			t.Errorf("Allow %q", rec.Header().Get("Allow"))
		}
	}
	for _, target := range []string{"/", "/v1/settings/x", "/v2/settings"} {
		rec := httptest.NewRecorder()
		r.api.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, audience+target, nil))
		wantProblem(t, rec, 404, "")
	}
	rec := httptest.NewRecorder()
	r.api.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, audience+settings.Path+"?access_token="+good, nil))
	wantProblem(t, rec, 400, "invalid_request")
}

func TestConfigErrors(t *testing.T) {
	for word, edit := range map[string]func(*settings.Config){
		"issuer":    func(c *settings.Config) { c.Issuer = "http://op.example.com" },
		"audience":  func(c *settings.Config) { c.Audience = "" },
		"algorithm": func(c *settings.Config) { c.Algorithms = []jose.SignatureAlgorithm{jose.HS256} },
		"leeway":    func(c *settings.Config) { c.Leeway = -1 },
		"name":      func(c *settings.Config) { c.Profiles = map[string]settings.Profile{"x": {}} },
		"VSS path": func(c *settings.Config) {
			c.Profiles = map[string]settings.Profile{"x": {Name: "X", Settings: map[string]any{"vehicle.x": 1.0}}}
		},
		"not finite": func(c *settings.Config) {
			c.Profiles = map[string]settings.Profile{"x": {Name: "X", Settings: map[string]any{"Vehicle.X": math.NaN()}}}
		},
		"neither": func(c *settings.Config) {
			c.Profiles = map[string]settings.Profile{"x": {Name: "X", Settings: map[string]any{"Vehicle.X": []string{}}}}
		},
	} {
		cfg := settings.Config{Issuer: issuer, Audience: audience}
		edit(&cfg)
		if _, err := settings.New(cfg); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

// The whole chain: a token of the provider opens the settings of whom it
// signed in.
func TestTokensOfTheProvider(t *testing.T) {
	const secret = "0123456789abcdef"
	op, err := provider.New(provider.Config{
		Issuer: issuer, Key: newKey(t), Resource: audience, People: provider.SamplePeople(), Scopes: provider.SampleScopes(),
		Clients: []provider.Client{{ID: "bridge", Secret: secret, AuthMethod: provider.SecretPost, Scopes: []string{"seat", "light"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	api, err := settings.New(settings.Config{Issuer: issuer, Audience: audience, HTTPClient: &http.Client{Transport: roundTripper{op}}})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, api: api}
	for _, p := range op.People() {
		access, id := signIn(t, op, p, secret)
		got := read(t, r.get(access))
		want := settings.Samples()[p.Subject]
		path := "Vehicle.Cabin.Seat.Row1.DriverSide.Position"
		if got.Person["name"] != p.Name || len(got.Settings) != 7 || got.Settings[path] != want.Settings[path] {
			t.Errorf("%s gets %+v", p.Name, got)
		}
		wantProblem(t, r.get(id), 401, "invalid_token")
	}
}
