package cmd

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// check says what serve would work with.
func (s *settings) check(out io.Writer) error {
	log, err := s.logger(io.Discard)
	if err != nil {
		return err
	}
	p, err := s.build(log)
	if err != nil {
		return err
	}
	if _, _, err := s.newAuthority(p, log); err != nil {
		return err
	}
	if err := expired(p.cert.Leaf, time.Now()); err != nil {
		return fmt.Errorf("--cert: %q: %w", s.cert, err)
	}
	state, err := s.checkState()
	if err != nil {
		return err
	}
	return s.printFacts(out, slices.Concat([]fact{
		{"identity", p.self.String()},
		{"certificate until", p.cert.Leaf.NotAfter.UTC().Format(time.RFC3339)},
		{"broker", s.broker},
		{"issuer", s.issuer},
		{"provider profile", p.row.Name},
		{"client", s.clientID},
		{"pushes in all", pace(p.config.Policy.PerProvider) + shared(p.row)},
		{"pushes to a person", pace(p.config.Policy.PerPerson)},
		{"longest expiry", p.config.Policy.MaxExpiry.String() + channel(p.row, p.config.Policy.MaxExpiry)},
		{"open sign-ins", strconv.Itoa(p.config.Limits.Open)},
	}, state, s.registration(p)))
}

// checkState says where the state and its keys are, and makes sure that what
// does not exist can be made.
func (s *settings) checkState() ([]fact, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	storeKeys, err := s.storeKeys()
	if err != nil {
		return nil, err
	}
	if err := s.storeKeyLost(storeKeys); err != nil {
		return nil, err
	}
	storeKey, err := s.checkKeys("--store-key", storeKeys, func(b []byte) error { _, err := parseStoreKeys(b); return err })
	if err != nil {
		return nil, err
	}
	sealKey := "the database's own"
	if source := s.sealKeys(); source != "" {
		if sealKey, err = s.checkKeys("--seal-key", source, func(b []byte) error { _, err := parseSealKeys(b); return err }); err != nil {
			return nil, err
		}
	}
	files := map[string]string{"--store-key": storeKeys, "--seal-key": s.sealKeys(), "--db": s.db}
	maps.DeleteFunc(files, func(_, path string) bool {
		return path == "" || strings.HasPrefix(path, inEnvironment) || path == s.db && s.shared()
	})
	return []fact{{"database", db.String()}, {"store key", storeKey}, {"seal key", sealKey}}, checkFolders(files)
}

// registration is what the client must be at the provider, in the terms of its
// metadata (RFC 7591, CIBA Core section 4).
func (s *settings) registration(p *parts) []fact {
	facts := []fact{
		{"token_endpoint_auth_method", p.clientConfig.Auth.Method()},
		{"backchannel_token_delivery_mode", s.callback.delivery},
	}
	if s.callback.notifies() {
		facts = append(facts, fact{"backchannel_client_notification_endpoint", s.callback.endpoint(p.callback.cert)})
	}
	if signing := p.clientConfig.RequestSigning; signing != nil {
		alg := "ES256"
		if _, ok := signing.Key.Signer.Public().(*rsa.PublicKey); ok {
			alg = "PS256"
		}
		facts = append(facts, fact{"backchannel_authentication_request_signing_alg", alg})
	}
	if s.client.cert != "" {
		facts = append(facts, fact{"tls_client_certificate_bound_access_tokens", "true"})
	}
	return facts
}

// expired returns an error if the bridge cannot connect any more: the authority
// renews no bridge after the end.
func expired(leaf *x509.Certificate, now time.Time) error {
	if now.After(leaf.NotAfter) {
		return fmt.Errorf("expired on %s: remove the file and enrol anew", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// checkFolders makes sure that files which may have to be made have a directory
// to be made in.
func checkFolders(files map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := files[name]
		switch info, err := os.Stat(filepath.Dir(path)); {
		case err != nil:
			return fmt.Errorf("%s: %q cannot be made: %w", name, path, err)
		case !info.IsDir():
			return fmt.Errorf("%s: %q cannot be made: %q is not a directory", name, path, filepath.Dir(path))
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return fmt.Errorf("%s: %q is a directory, want a file", name, path)
		}
	}
	return nil
}

// A fact is what check-config says about one setting.
type fact struct{ Name, Value string }

func (s *settings) printFacts(out io.Writer, facts []fact) error {
	if s.json {
		all := make(map[string]string)
		for _, f := range facts {
			all[f.Name] = f.Value
		}
		return json.NewEncoder(out).Encode(all)
	}
	for _, f := range facts {
		fmt.Fprintf(out, "%-46s %s\n", f.Name, f.Value)
	}
	return nil
}
