package cmd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// facts runs check-config with a file of these lines beside the settings that
// work.
func (w *world) facts(lines ...string) (facts map[string]string, stderr string) {
	w.t.Helper()
	config := w.write("bridge.toml", strings.Join(lines, "\n"))
	code, stdout, stderr := w.main(append(args("check-config", w.flags()), "--config", config, "--json")...)
	if code == 0 {
		if err := json.Unmarshal([]byte(stdout), &facts); err != nil {
			w.t.Fatal(err)
		}
	}
	return facts, stderr
}

// What is not set follows from the profile, and what is set wins.
func TestProfileDefaults(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	for _, c := range []struct {
		lines []string
		want  map[string]string
	}{
		{nil, map[string]string{
			"provider profile": "generic", "pushes in all": "no limit", "pushes to a person": "5 at once, then one each 1m0s",
			"longest expiry": "5m0s", "open sign-ins": "1000000",
		}},
		{[]string{`provider-profile = "auth0"`}, map[string]string{
			"provider profile": "auth0", "pushes in all": "100 at once, then one each 150ms (Auth0 counts 500 a minute, and all clients of the tenant)", "pushes to a person": "4 at once, then one each 1m0s",
			"longest expiry": "5m0s", "open sign-ins": "5000",
		}},
		{[]string{`provider-profile = "auth0"`, `provider-burst = 7`, `provider-every = "1s"`, `person-burst = 5`, `max-open = 1000000`, `max-expiry = "18h"`}, map[string]string{
			"pushes in all": "7 at once, then one each 1s (Auth0 counts 500 a minute, and all clients of the tenant)", "pushes to a person": "5 at once, then one each 1m0s",
			"longest expiry": "18h0m0s (beyond 5m0s Auth0 sends an e-mail instead of a push)", "open sign-ins": "1000000",
		}},
		{[]string{`provider-profile = "keycloak"`}, map[string]string{"provider profile": "keycloak", "pushes in all": "no limit"}},
	} {
		facts, stderr := w.facts(c.lines...)
		for name, want := range c.want {
			if facts[name] != want {
				t.Errorf("%q: %s is %q, want %q\n%s", c.lines, name, facts[name], want, stderr)
			}
		}
	}
}

// A setting's name may be a path of tables, whichever setting it is.
func TestTables(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	for _, lines := range []string{
		"provider-profile = \"okta\"\nprovider-burst = 7\nprovider-every = \"1s\"",
		"provider.profile = \"okta\"\nprovider.burst = 7\nprovider.every = \"1s\"",
		"[provider]\nprofile = \"okta\"\nburst = 7\nevery = \"1s\"",
		"provider-profile = \"okta\"\nprovider-burst = 7\n[provider]\nevery = \"1s\"",
	} {
		facts, stderr := w.facts(lines)
		if facts["provider profile"] != "okta" || facts["pushes in all"] != "7 at once, then one each 1s" {
			t.Errorf("%s\nmakes %v\n%s", lines, facts, stderr)
		}
	}
	for lines, says := range map[string]string{
		"provider-profile = \"okta\"\n[provider]\nprofile = \"auth0\"": "provider-profile is set twice",
		"[provider]\nprofil = \"okta\"":                                "provider-profil",
		"[provider.profile]\nname = \"okta\"":                          "provider-profile-name",
	} {
		if facts, stderr := w.facts(lines); facts != nil || !strings.Contains(stderr, says) {
			t.Errorf("%s\nis accepted as %v, or not for %q:\n%s", lines, facts, says, stderr)
		}
	}
	code, _, stderr := w.main("serve", "--config", w.write("other.toml", fmt.Sprintf("[provider]\nprofile = %q", "auth-zero")),
		"--broker", w.broker, "--cert", w.path("bridge.crt"), "--key", w.path("bridge.key"), "--roots", w.path("roots.pem"), "--issuer", w.op.Issuer, "--client-id", "c", "--client-secret-file", w.path("secret"))
	if code != 2 || !contains(stderr, "--provider-profile", `"auth-zero"`, `"okta"`) {
		t.Errorf("an unknown profile in a file: exit status %d: %s", code, stderr)
	}
}
