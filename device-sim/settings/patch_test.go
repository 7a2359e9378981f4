package settings_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/carillon-iot/carillon/device-sim/settings"
)

const position, recline = "Vehicle.Cabin.Seat.Row1.DriverSide.Position", "Vehicle.Cabin.Seat.Row1.DriverSide.Backrest.Recline"

func TestPatch(t *testing.T) {
	r := newRig(t, nil)
	token := r.sign(claims("scope", "seat settings:write"))
	before := r.get(token)
	rec := r.patch(token, `{"settings":{"`+position+`":433,"`+recline+`":null}}`, "If-Match", before.Header().Get("ETag"))
	changed := read(t, rec)
	if _, ok := changed.Settings[recline]; ok || changed.Settings[position] != 433.0 || len(changed.Settings) != 6 {
		t.Errorf("after the change: %+v", changed)
	}
	after := r.get(token)
	if after.Body.String() != rec.Body.String() || after.Header().Get("ETag") != rec.Header().Get("ETag") ||
		after.Header().Get("ETag") == before.Header().Get("ETag") {
		t.Errorf("GET says %s, PATCH said %s", after.Body, rec.Body)
	}
	wantProblem(t, r.patch(token, `{"settings":{"`+position+`":1}}`, "If-Match", before.Header().Get("ETag")), 412, "")
	if got := read(t, r.get(r.sign(claims("sub", "u-8vt4c1np")))); got.Settings[position] != 485.0 {
		t.Errorf("Bela's seat moved: %v", got.Settings[position])
	}
	if settings.Samples()[anna].Settings[position] != 420.0 {
		t.Error("the samples changed")
	}
}

// A patch that is wrong anywhere changes nothing.
func TestPatchIsRefused(t *testing.T) {
	r := newRig(t, nil)
	write := r.sign(claims("scope", "seat settings:write"))
	before := r.get(write).Body.String()
	ok := `"` + position + `":433`
	var many, large []string
	for i := range 300 {
		many = append(many, fmt.Sprintf(`"Vehicle.Cabin.Seat.X%d":1`, i))
	}
	for i := range 228 { // each is good, and the body is not too long
		large = append(large, fmt.Sprintf(`"Vehicle.Cabin.Seat.X%d":"%s"`, i, strings.Repeat("x", 256)))
	}
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"no JSON":           {`x`, 400},
		"array":             {`[]`, 400},
		"no settings":       {`{}`, 400},
		"settings array":    {`{"settings":[1]}`, 400},
		"settings null":     {`{"settings":null}`, 400},
		"two documents":     {`{"settings":{` + ok + `}}{}`, 400},
		"repeated path":     {`{"settings":{` + ok + `,` + ok + `}}`, 400},
		"another member":    {`{"settings":{` + ok + `},"person":{"name":"Eve"}}`, 400},
		"cut off":           {`{"settings":{` + ok, 400},
		"other scope":       {`{"settings":{` + ok + `,"Vehicle.Cabin.HVAC.IsAirConditioningActive":true}}`, 403},
		"no branch at all":  {`{"settings":{` + ok + `,"Vehicle.Speed":1}}`, 403},
		"no path":           {`{"settings":{` + ok + `,"seat":1}}`, 422},
		"object value":      {`{"settings":{` + ok + `,"` + recline + `":{}}}`, 422},
		"text of two lines": {`{"settings":{` + ok + `,"` + recline + `":"a\nb"}}`, 422},
		"long text":         {`{"settings":{` + ok + `,"` + recline + `":"` + strings.Repeat("x", 300) + `"}}`, 422},
		"long path":         {`{"settings":{"Vehicle.Cabin.Seat.` + strings.Repeat("X", 200) + `":1}}`, 422},
		"too many paths":    {`{"settings":{` + strings.Join(many, ",") + `}}`, 400},
		"too many to keep":  {`{"settings":{` + strings.Join(many[:256], ",") + `}}`, 422},
		"too much to keep":  {`{"settings":{` + strings.Join(large, ",") + `}}`, 422},
		"too long":          {`{"settings":{"x":"` + strings.Repeat("x", 70_000) + `"}}`, 413},
	} {
		t.Run(name, func(t *testing.T) {
			challenge := map[int]string{403: "insufficient_scope"}[c.status]
			wantProblem(t, r.patch(write, c.body), c.status, challenge)
			if after := r.get(write).Body.String(); after != before {
				t.Errorf("it changed something: %.200s", after)
			}
		})
	}
	wantProblem(t, r.patch(r.sign(claims()), `{"settings":{`+ok+`}}`), 403, `scope="settings:write"`)
	wantProblem(t, r.patch("", `{}`), 401, "Bearer")
	wantProblem(t, r.send(http.MethodPatch, write, `{}`, "Content-Type", "application/json"), 415, "")
	wantProblem(t, r.patch(r.sign(claims("sub", "nobody", "scope", "seat settings:write")), `{"settings":{`+ok+`}}`), 404, "")
}

// Of many changes that each saw the same state one is saved.
func TestConcurrentPatches(t *testing.T) {
	r := newRig(t, func(c *settings.Config) { c.Observe = nil })
	token := r.sign(claims("scope", "seat settings:write"))
	tag := r.get(token).Header().Get("ETag")
	codes := make([]int, 32)
	var group sync.WaitGroup
	for i := range codes {
		group.Go(func() {
			codes[i] = r.patch(token, fmt.Sprintf(`{"settings":{"%s":%d}}`, position, 500+i), "If-Match", tag).Code
		})
	}
	group.Wait()
	saved := 0
	for _, code := range codes {
		if code == http.StatusOK {
			saved++
		} else if code != http.StatusPreconditionFailed {
			t.Errorf("status %d", code)
		}
	}
	if saved != 1 {
		t.Errorf("%d changes were saved", saved)
	}
}

// Whatever is sent, what is kept stays within bounds.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		`{"settings":{"` + position + `":433}}`, `{"settings":{"` + position + `":null}}`, `{"settings":{"a":[]}}`,
		`{"settings":{"Vehicle.Cabin.Seat.A":1e400}}`, `{"settings":{"Vehicle.Cabin.Seat.A":true,"Vehicle.Cabin.Seat.A":false}}`, `{`, ``,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := newRig(t, nil)
		token := r.sign(claims("scope", "seat settings:write"))
		rec := r.patch(token, body)
		if rec.Code >= 500 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		kept := read(t, r.get(token))
		if rec.Code == http.StatusOK && r.get(token).Body.String() != rec.Body.String() {
			t.Error("PATCH answered something else than GET")
		}
		if _, err := settings.New(settings.Config{Issuer: issuer, Audience: audience,
			Profiles: map[string]settings.Profile{anna: {Name: "Anna", Settings: kept.Settings}}}); err != nil {
			t.Error(err)
		}
	})
}
