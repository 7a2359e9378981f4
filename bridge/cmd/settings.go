package cmd

import (
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/schemas"
)

// settings are what can be set, as text and numbers. docs/bridge.md is their
// reference, and a test holds it to this.
type settings struct {
	broker, brokerName, group string
	cert, key                 string
	roots, deviceRoots        string
	authority                 string

	issuer, clientID           string
	client                     clientSettings
	callback                   callbackSettings
	ask                        askSettings
	providerRoots, idTokenAlgs string
	insecureHTTP               bool
	providerProfile            string

	db, storeKey, sealKey string

	scopes, moving      string
	sessionLife         string
	policy              policy.Policy // but for scopes, moving and sessionLife
	limits              bridge.Limits
	ops                 string
	logLevel, logFormat string
	otlpEndpoint        string
	traceRatio          float64
	json                bool // of check-config

	environ []string      // "NAME=value", for keys and for what has standard names there
	flags   *flag.FlagSet // of which those that were given can be told from defaults
}

func (s *settings) define(fs *flag.FlagSet) {
	s.flags = fs
	s.defineBroker(fs)
	s.defineProvider(fs)
	s.definePolicy(fs)
	fs.StringVar(&s.db, "db", "bridge.db", "SQLite `file` with all state, made if it does not exist; or the postgres:// URL of a database that several bridges share")
	fs.StringVar(&s.storeKey, "store-key", "", "`file` with the keys that encrypt secrets in --db, made if it does not exist; or env: and the name of a variable that has them; empty: --db with .key appended, where that is a file")
	fs.StringVar(&s.sealKey, "seal-key", "", "`file` with the keys to which devices seal hints, made if it does not exist; or env: and the name of a variable that has them; empty: --db with .seal appended, where that is a file, or a key that the database has")
	fs.IntVar(&s.limits.Open, "max-open", 1_000_000, "sign-ins that wait for a person, at most")
	fs.IntVar(&s.limits.Calls, "max-calls", 128, "authentication requests at the provider at the same time, at most, of all bridges of --db together")
	fs.IntVar(&s.limits.Polls, "max-polls", 256, "polls at the provider at the same time, at most, of all bridges of --db together; a provider that holds polls needs one for each sign-in")
	fs.IntVar(&s.limits.Renewals, "max-renewals", 64, "renewals at the provider at the same time, at most, of all bridges of --db together")
	fs.StringVar(&s.ops, "ops", "", "`address` of /healthz, /readyz and /metrics over plain HTTP, such as :8080, not for the public; empty: none")
	fs.StringVar(&s.otlpEndpoint, "otlp-endpoint", "", "`URL` of an OpenTelemetry collector that takes traces (OTLP over HTTP), such as http://127.0.0.1:4318; empty: that of OTEL_EXPORTER_OTLP_ENDPOINT, or none")
	fs.Float64Var(&s.traceRatio, "trace-ratio", 1, "part of the requests whose traces are sent there, 0 to 1")
	fs.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
	fs.StringVar(&s.logFormat, "log-format", "text", "text or json")
}

func (s *settings) defineBroker(fs *flag.FlagSet) {
	fs.StringVar(&s.broker, "broker", "", "`host:port` of the MQTT broker, TLS (required)")
	fs.StringVar(&s.brokerName, "broker-name", "", "name in the broker's certificate; empty: the host of --broker")
	fs.StringVar(&s.group, "group", "bridge", "`name` under which all bridges share the devices' messages; one that devices cannot guess, where the broker lets them join it")
	fs.StringVar(&s.cert, "cert", "", "PEM `file` with the bridge's certificate and its issuers (required); read again when it changes")
	fs.StringVar(&s.key, "key", "", "PEM `file` with its key (required)")
	fs.StringVar(&s.roots, "roots", "", "PEM `file` with the roots of the broker's certificate (required)")
	fs.StringVar(&s.deviceRoots, "device-roots", "", "PEM `file` with the roots of the devices' certificates; empty: --roots")
	fs.StringVar(&s.authority, "authority", "", "`URL` of the authority: the bridge's certificate is renewed there, and revoked devices are asked for; empty: neither")
}

func (s *settings) defineProvider(fs *flag.FlagSet) {
	fs.StringVar(&s.issuer, "issuer", "", "issuer `URL` of the OpenID provider, exactly as its ID tokens say it (required)")
	fs.StringVar(&s.providerProfile, "provider-profile", profile.Generic, "which provider it is, for what no metadata tells and for the defaults of the policy: "+strings.Join(profile.Names(), ", "))
	fs.StringVar(&s.clientID, "client-id", "", "the bridge's name at the provider (required)")
	s.client.define(fs)
	s.callback.define(fs)
	s.ask.define(fs)
	fs.StringVar(&s.providerRoots, "provider-roots", "", "PEM `file` with the roots of the provider's certificate; empty: those of the system")
	fs.StringVar(&s.idTokenAlgs, "id-token-algs", "", "signature algorithms accepted in ID tokens, with commas; empty: every asymmetric one")
	fs.BoolVar(&s.insecureHTTP, "insecure-http", false, "permit a provider on this machine without TLS, for tests")
}

func (s *settings) definePolicy(fs *flag.FlagSet) {
	p := &s.policy
	*p = policy.Default()
	fs.StringVar(&s.scopes, "scopes", "", "scopes by kind of device, such as \"car=seat,climate till=pay\"; empty: every kind may ask for everything")
	fs.StringVar(&s.sessionLife, "session-life", "", "how long a person may stay signed in without being rung again, by kind of device, such as \"car=12h thing=720h\"; other kinds, and empty: for one token")
	fs.StringVar(&s.moving, "moving", string(p.Moving), "who may ask in a moving vehicle: allowed, not-driver or refused")
	durationVar(fs, &p.MinExpiry, "min-expiry", p.MinExpiry, "shortest time for which a phone rings")
	durationVar(fs, &p.MaxExpiry, "max-expiry", p.MaxExpiry, "longest time for which a phone rings")
	durationVar(fs, &p.DefaultExpiry, "expiry", p.DefaultExpiry, "time for which it rings where the device does not say")
	fs.IntVar(&p.MaxPurpose, "max-purpose", p.MaxPurpose, "longest text that says what a sign-in is for, bytes")
	for _, q := range []struct {
		name, what string
		rate       *policy.Rate
	}{{"device", "from one device", &p.PerDevice}, {"person", "to one person", &p.PerPerson}, {"provider", "in all", &p.PerProvider}} {
		fs.IntVar(&q.rate.Burst, q.name+"-burst", q.rate.Burst, "pushes at once "+q.what+"; 0, with --"+q.name+"-every 0 too: no limit")
		durationVar(fs, &q.rate.Every, q.name+"-every", q.rate.Every, "time after which there is one more; 0, with --"+q.name+"-burst 0 too: no limit")
	}
	fs.IntVar(&p.Renewals.Burst, "renewal-burst", p.Renewals.Burst, "renewals at once in all; 0, with --renewal-every 0 too: no limit")
	durationVar(fs, &p.Renewals.Every, "renewal-every", p.Renewals.Every, "time after which there is one more; 0, with --renewal-burst 0 too: no limit")
	durationVar(fs, &p.CoolDown.First, "cool-down", p.CoolDown.First, "pause after a denial, for that person on that device; it doubles with each further one; 0: none")
	durationVar(fs, &p.CoolDown.Max, "cool-down-max", p.CoolDown.Max, "longest such pause")
}

// durationVar defines a flag whose error says what was found and what is
// allowed: that of package flag does not.
func durationVar(fs *flag.FlagSet, to *time.Duration, name string, value time.Duration, usage string) {
	*to = value
	fs.Var((*duration)(to), name, usage)
}

type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(text string) error {
	v, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a time such as 90s, 2m or 1h30m", text)
	}
	*d = duration(v)
	return nil
}

// setFromEnvironment sets flags from CARILLON_BRIDGE_<FLAG>.
func setFromEnvironment(fs *flag.FlagSet, environ []string) error {
	values := make(map[string]string)
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok && value != "" {
			values[name] = value
		}
	}
	var failed error
	fs.VisitAll(func(f *flag.Flag) {
		name := "CARILLON_BRIDGE_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := values[name]; ok && failed == nil {
			if err := fs.Set(f.Name, value); err != nil {
				failed = usagef("environment: %s=%q: %w", name, value, err)
			}
		}
	})
	return failed
}

// parseScopes reads "car=seat,climate till=pay"; nil for "".
func parseScopes(text string) (map[schemas.DeviceKind][]string, error) {
	return byKind(text, "scope,scope", func(list string) ([]string, error) { return strings.Split(list, ","), nil })
}

// parseSessionLife reads "car=12h thing=720h"; nil for "".
func parseSessionLife(text string) (map[schemas.DeviceKind]time.Duration, error) {
	return byKind(text, "time", func(value string) (time.Duration, error) {
		var d duration
		err := d.Set(value)
		return time.Duration(d), err
	})
}

// byKind reads "kind=value kind=value"; nil for "".
func byKind[V any](text, want string, parse func(string) (V, error)) (map[schemas.DeviceKind]V, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	all := make(map[schemas.DeviceKind]V)
	for _, field := range strings.Fields(text) {
		name, value, ok := strings.Cut(field, "=")
		if !ok {
			return nil, fmt.Errorf("found %q, want kind=%s", field, want)
		}
		kind, err := schemas.ParseDeviceKind(name)
		if err != nil {
			return nil, err
		}
		if _, twice := all[kind]; twice {
			return nil, fmt.Errorf("found %q twice", name)
		}
		if all[kind], err = parse(value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return all, nil
}
