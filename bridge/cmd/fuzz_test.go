package cmd

import (
	"testing"

	"github.com/carillon-iot/carillon/bridge/policy"
)

// Whatever is accepted for --scopes makes a policy that is either refused with
// its reason or usable.
func FuzzScopes(f *testing.F) {
	for _, seed := range []string{"", "car=seat", "car=seat,climate till=pay", "car=", "=seat", "car=seat car=seat", "boat=x", "car=\"x\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scopes, err := parseScopes(text)
		if err != nil {
			if scopes != nil {
				t.Errorf("%q: an error and %v", text, scopes)
			}
			return
		}
		p := policy.Default()
		p.Scopes = scopes
		if p.Validate() != nil {
			return
		}
		for kind, list := range scopes {
			if r := p.Check(policy.Ask{Kind: kind, Scope: list}); r != nil {
				t.Errorf("%q allows %v of %v and refuses it: %s", text, list, kind, r.Reason)
			}
		}
	})
}

// A key file that is accepted gives keys; no other makes the parsers panic.
func FuzzKeyFiles(f *testing.F) {
	for _, fresh := range []func() ([]byte, error){freshStoreKey, freshSealKey} {
		data, err := fresh()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(append(data, data...))
		f.Add(data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if ring, err := parseStoreKeys(data); (ring == nil) == (err == nil) {
			t.Errorf("store keys: %v, %v", ring, err)
		}
		if keys, err := parseSealKeys(data); (len(keys) == 0) == (err == nil) {
			t.Errorf("seal keys: %d, %v", len(keys), err)
		}
	})
}
