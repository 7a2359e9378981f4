package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/scenario"
	"github.com/carillon-iot/carillon/device-sim/world"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// A spy hears what the bridge and the provider say to each other, and remembers
// what nobody else may know.
type spy struct {
	mu      sync.Mutex
	secrets map[string]string // to what they are

	debugged bool // whether the bridge's log has what is said for debugging
}

// secretNames are the members of forms, of answers and of request objects that
// are secret.
var secretNames = []string{
	"client_secret", "client_assertion", "auth_req_id", "login_hint", "login_hint_token", "id_token_hint", "request",
	"binding_message", "client_notification_token", "access_token", "refresh_token", "id_token", "token", "user_code",
}

func (s *spy) hear(what, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(secret) >= 6 { // else it is found anywhere
		s.secrets[secret] = what
	}
}

// overhear is for world.Config.
func (s *spy) overhear(provider http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if _, basic, ok := strings.Cut(r.Header.Get("Authorization"), "Basic "); ok {
			s.hear("client authentication", basic)
		}
		form := r.Clone(r.Context())
		form.Body = io.NopCloser(bytes.NewReader(body))
		_ = form.ParseForm()
		answer := httptest.NewRecorder()
		provider.ServeHTTP(answer, r)
		var object map[string]any
		_ = json.Unmarshal(answer.Body.Bytes(), &object)
		for _, name := range secretNames {
			s.hear(name, form.Form.Get(name))
			text, _ := object[name].(string)
			s.hear(name, text)
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// look takes keys and the ids of devices from the files of a world, and who
// lives in it.
func (s *spy) look(t *testing.T, dir string) {
	t.Helper()
	for _, p := range provider.SamplePeople() {
		s.hear("subject", p.Subject)
		s.hear("address", p.Email)
		s.hear("address", p.Phone)
	}
	key := regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----\n((?:.+\n)*?)-----END|(?m)^([0-9a-f]{64})$`)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasSuffix(path, ".log") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Base(path) == "client-secret" {
			s.hear("client secret", strings.TrimSpace(string(content)))
		}
		for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				continue // a key
			}
			if id, err := mtls.IdentityOf(cert); err == nil && id.Role == mtls.RoleDevice {
				s.hear("device", id.ID)
			}
		}
		for _, found := range key.FindAllStringSubmatch(string(content), -1) {
			for _, line := range strings.Fields(found[1] + found[2]) {
				s.hear("key in "+filepath.Base(path), line)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Nothing that is secret in a scenario is in any log of it, however much is
// logged; and the bridge's names neither a person nor a device.
func TestSecretsOfScenarios(t *testing.T) {
	var mu sync.Mutex
	heard := make(map[string]int) // kinds of secrets, over all scenarios
	debugged := false             // whether any scenario had something to say for debugging
	t.Run("each", func(t *testing.T) {
		four := make(chan struct{}, 4)
		for _, name := range scenario.Names() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				four <- struct{}{}
				defer func() { <-four }()
				s := spyOn(t, name)
				mu.Lock()
				defer mu.Unlock()
				debugged = debugged || s.debugged
				for _, what := range s.secrets {
					what, _, _ = strings.Cut(what, " in ")
					heard[what]++
				}
			})
		}
	})
	if !debugged {
		t.Error("no bridge has logged anything for debugging: this test sees less than there is")
	}
	for _, what := range []string{
		"client secret", "client authentication", "key", "device", "login_hint", "binding_message", "auth_req_id", "access_token", "refresh_token", "id_token",
	} {
		if heard[what] == 0 {
			t.Errorf("no scenario has had a secret of the kind %q: this test sees nothing. Heard: %v", what, heard)
		}
	}
}

// spyOn plays a scenario and reads the logs afterwards.
func spyOn(t *testing.T, name string) *spy {
	t.Helper()
	sc, err := scenario.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	s := &spy{secrets: make(map[string]string)}
	dir := filepath.Join(t.TempDir(), "world")
	r, err := scenario.Run(t.Context(), sc, scenario.Options{Seed: 1, World: world.Config{Dir: dir, Overhear: s.overhear}})
	if err != nil || r.Outcome != scenario.Passed {
		t.Fatalf("outcome %q: %v, %v", r.Outcome, r.Problem, err)
	}
	s.look(t, dir)
	bridge, others := read(t, dir, "bridge.log"), read(t, dir, "world.log")
	for secret, what := range s.secrets {
		if strings.Contains(bridge, secret) {
			t.Errorf("the bridge's log has the %s", what)
		}
		if strings.Contains(others, secret) && what != "device" { // which only the bridge calls by pseudonyms
			t.Errorf("the log of the other parts has the %s", what)
		}
	}
	if !strings.Contains(bridge, "device=") {
		t.Errorf("the bridge has not logged what happens:\n%s", bridge)
	}
	s.debugged = strings.Contains(bridge, "level=DEBUG") // a receipt, say, which some scenarios end before
	return s
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
