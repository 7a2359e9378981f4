package profile_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

func row(t *testing.T, name string) profile.Profile {
	t.Helper()
	p, err := profile.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNamed(t *testing.T) {
	want := []string{"generic", "fapi-ciba", "auth0", "keycloak", "okta", "pingone", "pingfederate", "node-oidc-provider"}
	if got := profile.Names(); !slices.Equal(got, want) {
		t.Errorf("names are %q, want %q", got, want)
	}
	for _, name := range want {
		if p := row(t, name); p.Name != name || p.Title == "" || p.String() != p.Title {
			t.Errorf("%q names %q, %q", name, p.Name, p.Title)
		}
	}
	if p := row(t, ""); p.Name != "generic" {
		t.Errorf("no name is %q, want generic", p.Name)
	}
	_, err := profile.Named("auth-zero")
	for _, word := range append(want, "auth-zero") {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("error %v does not say %q", err, word)
		}
	}
}

// TestTable: every row says where it is from, in words that package ciba knows.
func TestTable(t *testing.T) {
	known := []string{
		profile.Poll, profile.Ping, profile.Push,
		profile.ClientSecretBasic, profile.ClientSecretPost, profile.PrivateKeyJWT, profile.TLSClientAuth, profile.SelfSignedTLSClientAuth,
		profile.LoginHint, profile.LoginHintToken, profile.IDTokenHint,
		profile.Resource, profile.Audience,
	}
	for _, p := range profile.All() {
		if len(p.Sources) == 0 {
			t.Errorf("%s has no source", p.Name)
		}
		for _, s := range p.Sources {
			if !slices.Contains([]profile.Evidence{profile.Specification, profile.Documentation, profile.SourceCode, profile.Tried}, s.How) || s.What == "" {
				t.Errorf("%s has source %+v", p.Name, s)
			}
		}
		for _, word := range slices.Concat(p.Client.Delivery, p.Client.Auth, p.Hints.Kinds, p.Parameters.Target) {
			if !slices.Contains(known, word) {
				t.Errorf("%s says %q, want one of %q", p.Name, word, known)
			}
		}
		if e := p.Expiry; e.Longest > 0 && e.Push > e.Longest || e.OnlyShortens && e.Default == 0 || e.Unsaid && e.Default == 0 {
			t.Errorf("%s has expiry %+v", p.Name, e)
		}
		if p.Polling.NeverSlow && (p.Polling.RetryAfter || p.Polling.Interval) {
			t.Errorf("%s is never slow, and says how much: %+v", p.Name, p.Polling)
		}
	}
}

// A column that no row fills would be one that nobody needs.
func TestColumns(t *testing.T) {
	var walk func(name string, cells []reflect.Value)
	walk = func(name string, cells []reflect.Value) {
		if kind := cells[0].Type(); kind.Kind() == reflect.Struct {
			for i := range kind.NumField() {
				var below []reflect.Value
				for _, c := range cells {
					below = append(below, c.Field(i))
				}
				walk(name+"."+kind.Field(i).Name, below)
			}
			return
		}
		if !slices.ContainsFunc(cells, func(c reflect.Value) bool { return !c.IsZero() }) {
			t.Errorf("no row fills %s", name)
		}
	}
	var rows []reflect.Value
	for _, p := range profile.All() {
		rows = append(rows, reflect.ValueOf(p))
	}
	walk("Profile", rows)
}

// A row that is changed is the caller's own.
func TestRowsAreCopies(t *testing.T) {
	p := row(t, "auth0")
	p.Client.Delivery[0], p.Client.Auth[0] = "changed", "changed"
	if q := row(t, "auth0"); q.Client.Delivery[0] != profile.Poll || q.Client.Auth[0] != profile.ClientSecretBasic {
		t.Errorf("the table changed to %+v", q.Client)
	}
}

func TestWithFAPI(t *testing.T) {
	secretless := []string{profile.PrivateKeyJWT, profile.TLSClientAuth, profile.SelfSignedTLSClientAuth}
	for _, c := range []struct {
		name           string
		delivery, auth []string
	}{
		{"generic", []string{profile.Poll, profile.Ping}, secretless},
		{"fapi-ciba", []string{profile.Poll, profile.Ping}, secretless},
		{"auth0", []string{profile.Poll}, secretless},
		{"okta", []string{profile.Poll}, []string{profile.PrivateKeyJWT}},
	} {
		p := row(t, c.name).WithFAPI()
		if !p.FAPI || !slices.Equal(p.Client.Delivery, c.delivery) || !slices.Equal(p.Client.Auth, c.auth) {
			t.Errorf("%s becomes %v, %+v", c.name, p.FAPI, p.Client)
		}
	}
	if p := (profile.Profile{Client: profile.Client{Auth: []string{profile.ClientSecretPost}}}).WithFAPI(); p.Client.Auth == nil || len(p.Client.Auth) != 0 {
		t.Errorf("a provider of secrets alone allows %q, want nothing", p.Client.Auth)
	}
}

func TestBindingCheck(t *testing.T) {
	auth0, node := row(t, "auth0").Binding, row(t, "node-oidc-provider").Binding
	for _, c := range []struct {
		name    string
		binding profile.Binding
		message string
		problem string // "" for none
	}{
		{"anything", profile.Binding{}, "Confirm the payment of 25 €", ""},
		{"none", profile.Binding{}, "", ""},
		{"none, but required", auth0, "", "missing"},
		{"ours", auth0, "4K7-P2X", ""},
		{"a blank", auth0, "4K7 P2X", "character"},
		{"a slash", auth0, "4K7/P2X", "character"},
		{"a slash elsewhere", node, "4K7/P2X", ""},
		{"beyond ASCII", node, "Zürich", "character"},
		{"as long as may be", node, strings.Repeat("x", 20), ""},
		{"longer", node, strings.Repeat("x", 21), "21"},
		{"characters, not bytes", profile.Binding{Longest: 2}, "éé", ""},
	} {
		err := c.binding.Check(c.message)
		if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %v, want %q", c.name, err, c.problem)
		}
		if err != nil && c.message != "" && strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v quotes the message", c.name, err)
		}
	}
}

// One form fits every provider that is known.
func TestNew(t *testing.T) {
	seen := map[string]bool{}
	count := map[rune]int{}
	for range 2000 {
		m := profile.Binding{}.New()
		if len(m) != 7 || m[3] != '-' {
			t.Fatalf("message %q", m)
		}
		for _, p := range profile.All() {
			if err := p.Binding.Check(m); err != nil {
				t.Fatalf("%q %v at %v", m, err, p)
			}
			if n := len(p.Binding.New()); n != 7 {
				t.Fatalf("a message of %d bytes for %v", n, p)
			}
		}
		seen[m] = true
		for _, c := range m {
			count[c]++
		}
	}
	if len(seen) < 1990 {
		t.Errorf("%d different messages of 2000", len(seen))
	}
	delete(count, '-')
	if len(count) != 24 {
		t.Errorf("%d different characters, want 24", len(count))
	}
	for c, n := range count { // 500 expected, standard deviation 22
		if strings.ContainsRune("01LSUVZAEIO", c) || unicode.IsLower(c) {
			t.Errorf("character %q is mistaken for others, or makes words", c)
		}
		if n < 350 || n > 650 {
			t.Errorf("character %q came %d times of 12000, want about 500", c, n)
		}
	}
}

// Providers that allow less get another form.
func TestNewElsewhere(t *testing.T) {
	for _, c := range []struct {
		binding profile.Binding
		form    string
	}{
		{profile.Binding{Longest: 6}, `[2-9B-X]{6}`},
		{profile.Binding{Longest: 4}, `[2-9B-X]{4}`},
		{profile.Binding{Alphabet: "0123456789"}, `[2-9]{10}`},
		{profile.Binding{Alphabet: "0123456789-"}, `[2-9]{3}-[2-9]{3}-[2-9]{3}-[2-9]`},
		{profile.Binding{Alphabet: "abcdefghijklmnopqrstuvwxyz"}, `[b-x]{7}`},
	} {
		m := c.binding.New()
		if err := c.binding.Check(m); err != nil {
			t.Errorf("%+v: %q %v", c.binding, m, err)
		}
		if !regexp.MustCompile("^" + c.form + "$").MatchString(m) {
			t.Errorf("%+v: %q, want the form %s", c.binding, m, c.form)
		}
	}
}

// FuzzNew: whatever is allowed, as long as two of the characters that New takes
// are, New keeps to it.
func FuzzNew(f *testing.F) {
	f.Add("", 0)
	f.Add("ABC-", 5)
	f.Add("23456789abcdef", 7)
	f.Fuzz(func(t *testing.T, alphabet string, longest int) {
		b := profile.Binding{Alphabet: alphabet, Longest: longest}
		usable := 0
		for _, c := range "23456789BCDFGHJKMNPQRTWX" {
			if alphabet == "" || strings.ContainsRune(alphabet, c) {
				usable++
			}
		}
		m := b.New()
		if err := b.Check(m); m == "" || err != nil && usable > 1 {
			t.Errorf("%+v: %q %v", b, m, err)
		}
	})
}
