package provider

import (
	"crypto"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Config is everything a provider needs. Fields without a stated zero meaning
// are required.
type Config struct {
	// Issuer is the issuer identifier, an https URL without path, query or
	// fragment. Plain http is accepted for loopback hosts only.
	Issuer string
	// Key signs ID tokens and access tokens with ES256; it must be ECDSA P-256.
	Key crypto.Signer
	// Clients may ask for sign-ins. At least one.
	Clients []Client
	// People can be signed in. Empty means that every hint is unknown.
	People []Person
	// Scopes can be asked for, besides openid, profile, email, phone and
	// offline_access, which always exist.
	Scopes []Scope
	// Resource is the audience (aud) of every access token: the identifier of
	// the settings API. A client may send it as resource (RFC 8707); any other
	// resource is refused.
	Resource string
	// DeliveryModes offered. Nil means poll alone.
	DeliveryModes []DeliveryMode
	// ACRs are the supported authentication context classes. An ID token
	// carries the first requested one, or the first of this list when none was
	// requested. Nil means {DefaultACR}.
	ACRs []string

	// Interval is the least time between two polls of one request, in whole
	// seconds. Zero means 5 s.
	Interval time.Duration
	// Lifetime of a request that asks for none, in whole seconds. Zero means 120 s.
	Lifetime time.Duration
	// MaxLifetime bounds requested_expiry: more is cut to it, and expires_in
	// says so. Zero means 300 s.
	MaxLifetime time.Duration
	// AccessTokenLifetime in whole seconds. Zero means 15 minutes.
	AccessTokenLifetime time.Duration
	// IDTokenLifetime in whole seconds. Zero means 10 minutes.
	IDTokenLifetime time.Duration
	// RefreshTokenLifetime of each rotation, in whole seconds. Zero means 30
	// days. A refresh token is issued when offline_access was granted to a
	// client with Client.Refresh.
	RefreshTokenLifetime time.Duration

	// MaxBindingMessage is the longest binding_message, in bytes. Zero means 64.
	MaxBindingMessage int
	// BindingPunctuation is what a binding_message may hold besides ASCII
	// letters and digits. Empty means DefaultBindingPunctuation.
	BindingPunctuation string
	// MaxPending bounds the undecided requests of all people together; above
	// it a request gets 503 temporarily_unavailable. Zero means 100,000.
	MaxPending int

	// Journal keeps requests and grants, so that a provider that is made from it
	// again, with the same key, clients and people, goes on where a killed one
	// was. It is the caller's to close, and one provider's at a time. Nil keeps
	// them in memory only.
	Journal *Journal
	// HTTPClient sends pings and pushes. It must not follow redirects. Nil
	// means a client of our own with a timeout of 10 s.
	HTTPClient *http.Client
	// Observe is told what happens, synchronously, from the goroutine in which
	// it happens: it must return soon and must not call the Provider. Nil
	// means nobody is told.
	Observe func(Event)
	// Logger gets refused requests at debug level and internal failures at
	// error level, never a token, a hint or a key. Nil discards.
	Logger *slog.Logger
}

// Defaults of Config.
const (
	// DefaultACR says how people sign in here: by a tap on their phone.
	DefaultACR = "urn:carillon:acr:phone"
	// DefaultBindingPunctuation is what the binding message of a typical
	// provider may hold besides letters and digits.
	DefaultBindingPunctuation = " +-_.,:#/!?"
)

func (cfg Config) withDefaults() (Config, error) {
	if err := checkIssuer(cfg.Issuer); err != nil {
		return cfg, err
	}
	if u, err := url.Parse(cfg.Resource); err != nil || !u.IsAbs() || u.Fragment != "" {
		return cfg, fmt.Errorf("resource %q is not an absolute URI without fragment", cfg.Resource)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"interval", &cfg.Interval, 5 * time.Second},
		{"lifetime", &cfg.Lifetime, 2 * time.Minute},
		{"max lifetime", &cfg.MaxLifetime, 5 * time.Minute},
		{"access token lifetime", &cfg.AccessTokenLifetime, 15 * time.Minute},
		{"id token lifetime", &cfg.IDTokenLifetime, 10 * time.Minute},
		{"refresh token lifetime", &cfg.RefreshTokenLifetime, 30 * 24 * time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.zero
		}
		if *d.value < time.Second || *d.value%time.Second != 0 {
			return cfg, fmt.Errorf("%s %v is not a positive number of whole seconds", d.name, *d.value)
		}
	}
	if cfg.Lifetime > cfg.MaxLifetime {
		return cfg, fmt.Errorf("lifetime %v is above the max lifetime %v", cfg.Lifetime, cfg.MaxLifetime)
	}
	return cfg.withSmallDefaults()
}

func (cfg Config) withSmallDefaults() (Config, error) {
	if cfg.DeliveryModes == nil {
		cfg.DeliveryModes = []DeliveryMode{Poll}
	}
	if cfg.ACRs == nil {
		cfg.ACRs = []string{DefaultACR}
	}
	if cfg.MaxBindingMessage == 0 {
		cfg.MaxBindingMessage = 64
	}
	if cfg.BindingPunctuation == "" {
		cfg.BindingPunctuation = DefaultBindingPunctuation
	}
	if cfg.MaxPending == 0 {
		cfg.MaxPending = 100_000
	}
	if cfg.MaxBindingMessage < 0 || cfg.MaxPending < 0 {
		return cfg, fmt.Errorf("max binding message %d and max pending %d must not be negative", cfg.MaxBindingMessage, cfg.MaxPending)
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = &http.Client{Timeout: 10 * time.Second, CheckRedirect: refuseRedirect}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}

// refuseRedirect makes a notification that meets a redirect fail: CIBA Core
// section 10.2 forbids to follow it.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// checkIssuer refuses what OpenID Connect Discovery section 3 refuses, and a
// path, because go-oidc serves the discovery document of an issuer with a path
// where RFC 8414 puts it and not where OpenID Connect Discovery does.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("issuer %q is not a URL of scheme and host alone", issuer)
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("issuer %q must be https, or http on a loopback host", issuer)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
