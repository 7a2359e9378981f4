package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// settings is authority.json.
type settings struct {
	Name     string                    `json:"name"`
	URL      string                    `json:"url"`
	Hosts    []string                  `json:"hosts"`
	Profiles map[mtls.Role]profileJSON `json:"profiles"`
}

// profileJSON is a [Profile] as a person reads and edits it, with durations such
// as "1440h".
type profileJSON struct {
	Lifetime     string `json:"lifetime"`
	MaxLifetime  string `json:"max_lifetime"`
	RenewExpired string `json:"renew_expired"`
}

func (o *Options) settings() (*settings, error) {
	s := &settings{Name: o.Name, URL: o.URL, Hosts: o.Hosts, Profiles: make(map[mtls.Role]profileJSON)}
	if s.Name == "" {
		s.Name = "Carillon"
	}
	if len(s.Hosts) == 0 {
		s.Hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	for role := range o.Profiles {
		if _, err := mtls.ParseRole(string(role)); err != nil {
			return nil, fmt.Errorf("profiles: %w", err)
		}
	}
	for _, role := range mtls.Roles() {
		p := o.Profiles[role].withDefaults(role)
		s.Profiles[role] = profileJSON{p.Lifetime.String(), p.MaxLifetime.String(), p.RenewExpired.String()}
	}
	_, err := s.profiles()
	return s, errors.Join(err, s.validate())
}

func (s *settings) validate() error {
	host, err := authorityHost(s.URL)
	if err != nil {
		return err
	}
	for _, h := range append([]string{host}, s.Hosts...) {
		if net.ParseIP(h) != nil {
			continue
		}
		if err := checkDNSName(h); err != nil {
			return fmt.Errorf("hosts: %w", err)
		}
	}
	return nil
}

// authorityHost is the host of an authority's URL.
func authorityHost(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("url: %w", err)
	}
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") {
		return "", fmt.Errorf("url %q, want https://host:port", raw)
	}
	return u.Hostname(), nil
}

// hosts returns every name of the authority, that of its URL first.
func (s *settings) hosts() []string {
	host, _ := authorityHost(s.URL)
	hosts := []string{host}
	for _, h := range s.Hosts {
		if !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

func (s *settings) profiles() (map[mtls.Role]Profile, error) {
	out := make(map[mtls.Role]Profile)
	for _, role := range mtls.Roles() {
		j, ok := s.Profiles[role]
		if !ok {
			return nil, fmt.Errorf("profile %q is missing", role)
		}
		var p Profile
		for _, f := range []struct {
			name, text string
			to         *time.Duration
		}{{"lifetime", j.Lifetime, &p.Lifetime}, {"max_lifetime", j.MaxLifetime, &p.MaxLifetime}, {"renew_expired", j.RenewExpired, &p.RenewExpired}} {
			d, err := time.ParseDuration(f.text)
			if err != nil {
				return nil, fmt.Errorf("profile %q: %s: %w", role, f.name, err)
			}
			*f.to = d
		}
		if err := p.validate(role); err != nil {
			return nil, err
		}
		out[role] = p
	}
	return out, nil
}

func (s *settings) write(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return mtls.WriteFile(filepath.Join(dir, settingsFile), append(data, '\n'))
}

func readSettings(dir string) (*settings, error) {
	name := filepath.Join(dir, settingsFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%q: %w (no %s)", dir, ErrNoAuthority, settingsFile)
	}
	if err != nil {
		return nil, err
	}
	var s settings
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields() // a misspelled lifetime would otherwise be the default, silently
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	if err := s.validate(); err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	return &s, nil
}

// Fingerprint returns the SHA-256 of a certificate in hex, as the step CLI
// prints it.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// ReadRoot reads the root certificate from the directory of an authority, which
// may be running.
func ReadRoot(dir string) (*x509.Certificate, error) {
	if _, err := readSettings(dir); err != nil {
		return nil, err
	}
	certs, err := mtls.ReadCertificates(filepath.Join(dir, rootCertFile))
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}
