package api_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/api"
	"github.com/carillon-iot/carillon/agent/settings"
)

func document(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("../../schemas/agent-api.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := parseYAML(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any)
}

// dig walks into nested maps.
func dig(t *testing.T, v any, keys ...string) any {
	t.Helper()
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok || m[k] == nil {
			t.Fatalf("no %q in %v", k, keys)
		}
		v = m[k]
	}
	return v
}

// The document has exactly the operations that are served.
func TestDocumentHasEveryOperation(t *testing.T) {
	var documented []string
	for path, item := range dig(t, document(t), "paths").(map[string]any) {
		for method, op := range item.(map[string]any) {
			documented = append(documented, strings.ToUpper(method)+" "+path)
			dig(t, op, "operationId")
			dig(t, op, "summary")
			dig(t, op, "responses", "403")
		}
	}
	served := api.Routes()
	slices.Sort(documented)
	slices.Sort(served)
	if !slices.Equal(documented, served) {
		t.Errorf("documented %q, served %q", documented, served)
	}
}

// Each schema has exactly the members of its Go type, with their types, and
// those are required that are always there.
func TestDocumentHasEveryMember(t *testing.T) {
	schemas := dig(t, document(t), "components", "schemas").(map[string]any)
	types := map[string]any{
		"SignInRequest": api.SignInRequest{}, "SignIn": api.SignIn{}, "Session": api.Session{}, "Person": api.Person{},
		"Status": api.Status{}, "SignOutRequest": api.SignOutRequest{}, "SignOutAnswer": api.SignOutAnswer{},
		"Seat": api.Seat{}, "Link": api.Link{}, "Problem": api.Problem{}, "Skip": settings.Skip{},
	}
	for name := range schemas {
		if types[name] == nil {
			t.Errorf("schema %s has no type", name)
		}
	}
	for name, v := range types {
		properties := dig(t, schemas, name, "properties").(map[string]any)
		var required []any
		if r, ok := schemas[name].(map[string]any)["required"]; ok {
			required = r.([]any)
		}
		typ := reflect.TypeOf(v)
		if typ.NumField() != len(properties) {
			t.Errorf("%s has %d members, the document %d", name, typ.NumField(), len(properties))
		}
		for f := range typ.Fields() {
			member, omit := strings.CutSuffix(f.Tag.Get("json"), ",omitempty")
			p, ok := properties[member].(map[string]any)
			if !ok {
				t.Errorf("%s.%s is not in the document", name, member)
				continue
			}
			if want := typeOf(f.Type); p["type"] != want && !(want == "string" && p["enum"] != nil) {
				t.Errorf("%s.%s is %v in the document, %v in JSON", name, member, p["type"], want)
			}
			if slices.Contains(required, any(member)) == omit {
				t.Errorf("%s.%s: required and omitempty do not agree", name, member)
			}
		}
	}
}

func typeOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Int:
		return "integer"
	case reflect.Bool:
		return "boolean"
	case reflect.Slice:
		return "array"
	}
	return t.Kind().String()
}

func TestDocumentHasEveryState(t *testing.T) {
	doc := document(t)
	states := dig(t, doc, "components", "schemas", "SignIn", "properties", "state", "enum").([]any)
	for _, s := range []agent.State{agent.StateSending, agent.StateRinging, agent.StateCancelling, agent.StateGranted,
		agent.StateRefused, agent.StateCancelled, agent.StateUnsent, agent.StateUnknown} {
		if !slices.Contains(states, any(string(s))) {
			t.Errorf("state %q is not in the document", s)
		}
	}
	if len(states) != 8 {
		t.Errorf("%d states in the document", len(states))
	}
	results := dig(t, doc, "components", "schemas", "Session", "properties", "settings", "enum").([]any)
	for _, s := range []agent.SettingsState{agent.SettingsNone, agent.SettingsFetching, agent.SettingsApplied, agent.SettingsHeld, agent.SettingsFailed} {
		if !slices.Contains(results, any(string(s))) {
			t.Errorf("settings %q are not in the document", s)
		}
	}
	events := dig(t, doc, "paths", "/v1/events", "get", "responses", "200", "x-events").(map[string]any)
	for _, e := range []string{api.EventStatus, api.EventSignIn, api.EventSession, api.EventEnded, api.EventSeat, api.EventLink} {
		name, _ := events[e].(string)
		dig(t, doc, "components", "schemas", name)
	}
	if len(events) != 6 {
		t.Errorf("%d events in the document", len(events))
	}
}

// Every reference leads somewhere.
func TestDocumentReferences(t *testing.T) {
	doc := document(t)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				path, ok := strings.CutPrefix(ref, "#/")
				if !ok {
					t.Errorf("reference %q", ref)
				}
				dig(t, doc, strings.Split(path, "/")...)
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(doc)
}
