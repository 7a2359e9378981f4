package bridge_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/carillon-iot/carillon/schemas"
)

const template = `[{"type": "vehicle_settings", "vehicle": "{device}", "kind": "{kind}", "settings": "{scope}",
	"where": {"seat": "{seat}", "rows": ["{seat}", 12345678901234567890.10]}, "{seat}": "as {device}"}]`

func parse(t *testing.T, text string) *bridge.DetailsTemplate {
	t.Helper()
	d, err := bridge.ParseDetailsTemplate([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What the template says is what the provider is asked for, with the places
// filled in.
func TestAsks(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second, EditIDToken: func(d *cibatest.Draft) { d.Claims["acr"] = "urn:example:silver" }}
	inWorld(t, op, func(w *world) {
		var asked collection[cibatest.Request]
		op.OnRequest = func(r cibatest.Request) { asked.add(r) }
		w.edit = func(c *bridge.Config) {
			c.Asks = bridge.Asks{
				Resource:  []string{"https://settings.example.com", "https://media.example.com/"},
				Audience:  "https://api.example.com",
				ACRValues: []string{"urn:example:silver", "urn:example:gold"},
				Details:   parse(t, template),
			}
		}
		w.start()
		car := w.car("car-1")
		car.grant(car.signIn("anna@example.com"))
		m := car.signIn("anna@example.com")
		m.Seat, m.ACR = 0, "urn:example:gold" // another than what comes
		car.refused(m, schemas.ProviderError)

		got := asked.get()
		for i, want := range []string{
			`[{"kind":"car","settings":["seat","climate"],"type":"vehicle_settings","vehicle":"car-1","where":{"rows":[1,12345678901234567890.10],"seat":1},"{seat}":"as {device}"}]`,
			`[{"kind":"car","settings":["seat","climate"],"type":"vehicle_settings","vehicle":"car-1","where":{"rows":[12345678901234567890.10]},"{seat}":"as {device}"}]`,
		} {
			if details := got[i].Params.Get("authorization_details"); details != want {
				t.Errorf("request %d has\n%s, want\n%s", i, details, want)
			}
		}
		p := got[0].Params
		if p.Get("audience") != "https://api.example.com" || len(p["resource"]) != 2 || p["resource"][1] != "https://media.example.com/" {
			t.Errorf("audience %q, resource %q", p.Get("audience"), p["resource"])
		}
		if acr := p.Get("acr_values"); acr != "urn:example:silver urn:example:gold" {
			t.Errorf("acr_values %q where the device names none", acr)
		}
		if acr := got[1].Params.Get("acr_values"); acr != "urn:example:gold" {
			t.Errorf("acr_values %q, want what the device names", acr)
		}
	})
}

// What no request could carry is refused at the start, by name.
func TestAsksAreChecked(t *testing.T) {
	only := func(list ...string) (p profile.Profile) {
		p.Parameters.Target = list
		return p
	}
	for _, c := range []struct {
		field string
		asks  bridge.Asks
		at    profile.Profile
	}{
		{"Resource", bridge.Asks{Resource: []string{"settings.example.com"}}, profile.Profile{}},
		{"Audience", bridge.Asks{Audience: "a\nb"}, profile.Profile{}},
		{"ACRValues", bridge.Asks{ACRValues: []string{"two words"}}, profile.Profile{}},
		{"Audience", bridge.Asks{Audience: "https://settings.example.com"}, only(profile.Resource)},
		{"Resource", bridge.Asks{Resource: []string{"https://settings.example.com"}}, only(profile.Audience)},
	} {
		err, ok := c.asks.Validate(c.at).(*ciba.FieldError)
		if !ok || err.Field != c.field {
			t.Errorf("%s: %v", c.field, err)
		}
	}
	for _, p := range append(profile.All(), profile.Profile{Hints: profile.Hints{Kinds: []string{profile.LoginHintToken}}}) {
		if err := (bridge.Asks{}).Validate(p); err != nil {
			t.Errorf("%v: %v", p, err)
		}
	}
}

func TestDetailsTemplateErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no JSON":              {`[{`, "not a JSON array"},
		"an object":            {`{"type":"x"}`, "not a JSON array"},
		"no type":              {`[{"vehicle":"{device}"}]`, "type"},
		"a member twice":       {`[{"type":"x","type":"y"}]`, "unique"},
		"a place that is none": {`[{"type":"x","a":[{"b":"{vin}"}]}]`, `"{vin}"`},
		"an empty place":       {`[{"type":"x","a":"{}"}]`, `"{}"`},
		"a type that may miss": {`[{"type":"{seat}"}]`, "seat 0"},
		"a list for a type":    {`[{"type":"{scope}"}]`, "type"},
		"too many":             {"[" + strings.Repeat(`{"type":"x"},`, 32) + `{"type":"x"}]`, "at most 32"},
		"too large":            {`[{"type":"x","a":"` + strings.Repeat("a", 17<<10) + `"}]`, "at most 16384"},
	} {
		if _, err := bridge.ParseDetailsTemplate([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A template that is accepted makes valid details; nothing makes it panic.
func FuzzDetailsTemplate(f *testing.F) {
	f.Add(template)
	f.Add(`[]`)
	f.Add(`[{"type":"{kind}","x":{"y":[null,true,-0.0e9,"{seat}"]}}]`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := bridge.ParseDetailsTemplate([]byte(text))
		if err != nil {
			return
		}
		asks := bridge.Asks{Details: d}
		if err := asks.Validate(profile.Profile{}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if array, err := json.Marshal(bridge.FillDetails(d)); err != nil {
			t.Error(err)
		} else if _, err := ciba.ParseAuthorizationDetails(array); err != nil {
			t.Errorf("%s became %s: %v", text, array, err)
		}
	})
}
