package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3"
	"github.com/peterbourgon/ff/v3/ffcli"
	"github.com/peterbourgon/ff/v3/fftoml"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/pki/enroll"
)

// settings are what the flags of serve say.
type settings struct {
	listen, ops           string
	cert, key, roots      string
	authority             string
	crl, crlIssuers       string
	crlEvery              time.Duration
	crlOptional, insecure bool
	logJSON, verbose      bool
	limits                broker.Limits
}

func serveCommand(stderr io.Writer) *ffcli.Command {
	fs := newFlagSet("carillon-broker serve")
	s := new(settings)
	s.register(fs)
	s.registerLimits(fs)
	fs.String("config", "", "TOML `file` with the flags that are not given")
	c := &ffcli.Command{
		Name:       "serve",
		ShortUsage: "carillon-broker serve --cert FILE --key FILE --roots FILE [flags]",
		LongHelp:   serveHelp,
		FlagSet:    fs,
		Options: []ff.Option{
			ff.WithEnvVarPrefix("CARILLON_BROKER"),
			ff.WithConfigFileFlag("config"),
			ff.WithConfigFileParser(fftoml.Parser),
		},
	}
	c.Exec = execServe(s, stderr)
	return c
}

const serveHelp = `Runs the broker until it is interrupted.

EXAMPLE
  With a certificate from Carillon's authority, which then also renews it and
  says which certificates have been revoked:
    carillon-pki token --dir pki broker mq --names mq.example.com > token
    carillon-pki enroll --token-file token --cert broker.crt --key broker.key --root roots.pem
    carillon-broker serve --cert broker.crt --key broker.key --roots roots.pem \
        --authority https://pki.example.com:9000

  With certificates and a revocation list from elsewhere:
    carillon-broker serve --cert broker.crt --key broker.key --roots roots.pem \
        --crl https://ca.example.com/intermediate.crl

  A certificate that is replaced on disk is used from the next connection on,
  without a restart. Clients are disconnected when their certificate expires or
  is revoked.

FLAGS
  Every flag can be set in the environment, --max-clients as
  CARILLON_BROKER_MAX_CLIENTS, and in a TOML file named by --config, as
  max-clients = 1000. A flag on the command line wins over the environment, and
  that over the file.`

func (s *settings) register(fs *flag.FlagSet) {
	fs.StringVar(&s.listen, "listen", ":8883", "`address` to listen on, host:port")
	fs.StringVar(&s.ops, "ops", "", "`address` of /healthz and /metrics (Prometheus) over plain HTTP, not for the public; empty for none")
	fs.StringVar(&s.cert, "cert", "", "PEM `file` with the broker's certificate, leaf first, then its intermediates")
	fs.StringVar(&s.key, "key", "", "PEM `file` with its private key")
	fs.StringVar(&s.roots, "roots", "", "PEM `file` with the roots that issue clients' certificates")
	fs.StringVar(&s.authority, "authority", "", "`URL` of Carillon's authority, which renews the certificate and publishes the revocation list")
	fs.StringVar(&s.crl, "crl", "", "`URL or file` of the revocation list (DER or PEM), instead of the authority's")
	durationVar(fs, &s.crlEvery, "crl-every", time.Minute, "time between two fetches of the revocation list")
	fs.StringVar(&s.crlIssuers, "crl-issuers", "", "PEM `file` with the certificates that sign the revocation list; empty for the intermediates in --cert")
	fs.BoolVar(&s.crlOptional, "crl-optional", false, "start even if the revocation list cannot be fetched, such as while the authority is down")
	fs.BoolVar(&s.insecure, "without-revocation", false, "accept revoked certificates until they expire: no --authority and no --crl")
	fs.BoolVar(&s.logJSON, "log-json", false, "log as JSON, one object a line")
	fs.BoolVar(&s.verbose, "verbose", false, "log each connection of a client")
}

func (s *settings) registerLimits(fs *flag.FlagSet) {
	l, err := broker.Limits{}.WithDefaults()
	if err != nil {
		panic(err) // the defaults are constants
	}
	s.limits = l
	v := &s.limits
	fs.IntVar(&v.MaxClients, "max-clients", l.MaxClients, "`number` of connected clients")
	fs.IntVar(&v.MaxPending, "max-pending", l.MaxPending, "`number` of connections that have not got as far as MQTT")
	durationVar(fs, &v.ConnectTimeout, "connect-timeout", l.ConnectTimeout, "time for TLS and CONNECT")
	fs.IntVar(&v.MaxPacket, "max-packet", l.MaxPacket, "largest packet from a client, in `bytes`")
	durationVar(fs, &v.MaxKeepAlive, "max-keep-alive", l.MaxKeepAlive, "longest keep alive that a client may ask for")
	durationVar(fs, &v.WriteTimeout, "write-timeout", l.WriteTimeout, "time for which a client may take nothing of what is sent to it")
	fs.IntVar(&v.DeviceBuffer, "device-buffer", l.DeviceBuffer, "`bytes` that may pile up for a device")
	fs.IntVar(&v.BridgeBuffer, "bridge-buffer", l.BridgeBuffer, "`bytes` that may pile up for a bridge")
	fs.Float64Var(&v.DeviceRate, "device-rate", l.DeviceRate, "`packets` a second from a device in the long run")
	fs.IntVar(&v.DeviceBurst, "device-burst", l.DeviceBurst, "`packets` from a device at once")
	fs.Float64Var(&v.BridgeRate, "bridge-rate", l.BridgeRate, "`packets` a second from a bridge in the long run")
	fs.IntVar(&v.BridgeBurst, "bridge-burst", l.BridgeBurst, "`packets` from a bridge at once")
	fs.IntVar(&v.MaxInflight, "max-inflight", l.MaxInflight, "`messages` that a client may leave unacknowledged")
	fs.IntVar(&v.WriteQueue, "write-queue", l.WriteQueue, "`messages` for one client that may wait to be encoded")
	durationVar(fs, &v.SweepEvery, "sweep-every", l.SweepEvery, "time between two searches for expired and revoked clients")
}

// durationVar defines a flag whose error says what was found: that of package
// flag does not, when the value comes from the environment or from a file.
func durationVar(fs *flag.FlagSet, to *time.Duration, name string, value time.Duration, usage string) {
	*to = value
	fs.Var((*duration)(to), name, usage)
}

type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(text string) error {
	v, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 10s or 5m", text)
	}
	*d = duration(v)
	return nil
}

// check refuses settings that contradict each other, before anything is opened.
func (s *settings) check(args []string) error {
	switch {
	case len(args) > 0:
		return usagef("unexpected argument %q", args[0])
	case s.cert == "":
		return usagef("--cert: no certificate file given")
	case s.key == "":
		return usagef("--key: no key file given")
	case s.roots == "":
		return usagef("--roots: no file with the clients' roots given")
	case s.insecure && (s.authority != "" || s.crl != ""):
		return usagef("--without-revocation contradicts --authority and --crl")
	case !s.insecure && s.authority == "" && s.crl == "":
		return usagef("no source of revocations: want --authority, --crl or --without-revocation")
	case s.crlEvery <= 0:
		return usagef("--crl-every is %v, want a positive time", s.crlEvery)
	}
	if err := (&enroll.Client{URL: s.authority}).CheckURL(); s.authority != "" && err != nil {
		return usagef("--authority: %w", err)
	}
	if _, err := s.limits.WithDefaults(); err != nil {
		return usageError{err}
	}
	return nil
}

// usage is the help of one command.
func usage(c *ffcli.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "USAGE\n  %s\n\n%s\n", c.ShortUsage, c.LongHelp)
	c.FlagSet.VisitAll(func(f *flag.Flag) {
		name, text := flag.UnquoteUsage(f)
		fmt.Fprintf(&b, "\n  --%s %s\n      %s", f.Name, name, text)
		if f.DefValue != "" && f.DefValue != "false" {
			fmt.Fprintf(&b, " (default %s)", f.DefValue)
		}
	})
	b.WriteString("\n")
	return b.String()
}
