// Package settings is the settings API of the simulator: a resource server that
// hands a person's vehicle settings, as VSS 6 paths and values, to whoever
// presents that person's access token, as far as the token's scopes reach.
//
// The interface is written down for vendors in docs/settings-api.md and
// schemas/settings-api.yaml; this package implements it and holds the settings
// of three sample people.
//
//	api, err := settings.New(settings.Config{
//		Issuer:   "https://op.example.com",
//		Audience: "https://settings.example.com",
//		HTTPClient: client, // fetches the issuer's keys
//	})
//	go http.Serve(listener, api)
package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Path is where the API serves.
const Path = "/v1/settings"

// Config is everything the API needs.
type Config struct {
	// Issuer of the access tokens, an https URL (http for loopback hosts).
	// Its keys are found by OpenID Connect Discovery. Required.
	Issuer string
	// Audience that a token must name: the identifier of this API. Required.
	Audience string
	// HTTPClient fetches the issuer's metadata and keys. Nil means one of our
	// own with a timeout of 10 s that follows no redirect.
	HTTPClient *http.Client
	// Algorithms a token may be signed with. Nil means ES256 alone. Symmetric
	// algorithms are refused.
	Algorithms []jose.SignatureAlgorithm
	// Leeway tolerated in exp, nbf and iat. Zero means none; at most one minute.
	Leeway time.Duration
	// Profiles by subject. Nil means Samples.
	Profiles map[string]Profile
	// Observe is told of each request as it ends, synchronously. Nil means
	// nobody is told.
	Observe func(Event)
	// Logger gets refusals at debug level and trouble with the issuer at warn
	// level, never a token. Nil discards.
	Logger *slog.Logger
}

// Event is one answered request.
type Event struct {
	Method  string
	Status  int    // HTTP status
	Subject string // whose settings; empty if the token was refused
	Paths   int    // VSS paths in the answer, or changed by the request
	Bytes   int    // length of the body
}

// API is the settings API. It is an http.Handler, safe for concurrent use, and
// owns no goroutine.
type API struct {
	cfg      Config
	mux      *http.ServeMux
	tokens   *verifier
	profiles *profiles
}

// New checks cfg and returns the API. It does not contact the issuer: keys are
// fetched for the first token.
func New(cfg Config) (*API, error) {
	if err := checkIssuer(cfg.Issuer); err != nil {
		return nil, err
	}
	if cfg.Audience == "" {
		return nil, errors.New("audience is empty")
	}
	if cfg.Algorithms == nil {
		cfg.Algorithms = []jose.SignatureAlgorithm{jose.ES256}
	}
	for _, alg := range cfg.Algorithms {
		switch alg {
		case jose.ES256, jose.ES384, jose.PS256, jose.RS256, jose.EdDSA:
		default:
			return nil, fmt.Errorf("algorithm %q is none of ES256, ES384, PS256, RS256, EdDSA", alg)
		}
	}
	if cfg.Leeway < 0 || cfg.Leeway > time.Minute {
		return nil, fmt.Errorf("leeway %v is not between 0 and 1 min", cfg.Leeway)
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = &http.Client{Timeout: 10 * time.Second, CheckRedirect: refuseRedirect}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Profiles == nil {
		cfg.Profiles = Samples()
	}
	profiles, err := newProfiles(cfg.Profiles)
	if err != nil {
		return nil, err
	}
	a := &API{cfg: cfg, mux: http.NewServeMux(), profiles: profiles}
	a.tokens = &verifier{cfg: cfg, keys: newKeySet(cfg)}
	a.mux.HandleFunc("GET "+Path, a.get)
	a.mux.HandleFunc("PATCH "+Path, a.patch)
	a.mux.HandleFunc(Path, a.wrongMethod)
	a.mux.HandleFunc("/", a.notFound)
	return a, nil
}

func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("issuer %q is not a URL without query and fragment", issuer)
	}
	if !secure(u) {
		return fmt.Errorf("issuer %q must be https, or http on a loopback host", issuer)
	}
	return nil
}

// secure reports whether a URL is https, or http to this machine.
func secure(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback)
}
