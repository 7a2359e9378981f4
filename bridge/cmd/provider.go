package cmd

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/inspect"
	"github.com/carillon-iot/carillon/bridge/policy"
)

func (c *command) providerCommand() *ffcli.Command {
	fs := flagSet("provider")
	return &ffcli.Command{
		Name:        "provider",
		ShortUsage:  "carillon-bridge provider check [flags]",
		ShortHelp:   "find out whether the provider and the bridge will get on",
		FlagSet:     fs,
		UsageFunc:   c.keepUsage,
		Subcommands: []*ffcli.Command{c.providerCheckCommand()},
		Exec: func(context.Context, []string) error {
			if fs.NArg() > 0 {
				return usagef("provider has no command %q", fs.Arg(0))
			}
			return usagef("a command is missing after provider: check")
		},
	}
}

func (c *command) providerCheckCommand() *ffcli.Command {
	s := new(settings)
	var ring string
	cmd := c.with(s, &ffcli.Command{
		Name:      "check",
		ShortHelp: "make the requests that sign-ins consist of, and say what works",
		LongHelp: `Talks to the configured provider and says in plain words what works, what is
missing, and what to change in its console. Only the settings of the provider are
needed. No phone rings, as the requests are for a person who does not exist;
--ring names somebody whose phone shall ring, and waits for them.

EXAMPLES
    carillon-bridge provider check --config /etc/carillon/bridge.toml
    carillon-bridge provider check --config bridge.toml --ring anna@example.com
    carillon-bridge provider check --config bridge.toml --json | jq .ok

Exit status: 0 if sign-ins should work, 1 if they will not, 2 for wrong usage.`,
		Exec: func(ctx context.Context, args []string) error {
			if len(args) > 0 {
				return usagef("provider check takes no arguments, found %q", args[0])
			}
			return s.checkProvider(ctx, ring, c.stdout, c.stderr)
		},
	})
	cmd.FlagSet.StringVar(&ring, "ring", "", "login `hint` of a person to ring and to wait for; empty: nobody")
	cmd.ShortUsage = "carillon-bridge provider check [flags]"
	return cmd
}

// checkProvider inspects the provider, and returns an error if sign-ins would
// fail.
func (s *settings) checkProvider(ctx context.Context, ring string, out, logTo io.Writer) error {
	log, err := s.logger(logTo)
	if err != nil {
		return err
	}
	p, err := s.buildProvider(log)
	if err != nil {
		return err
	}
	cfg := inspect.Config{Client: p.client, HTTPClient: inspecting(p.clientConfig), Request: p.config.Asks.Sample(), Ring: ring}
	cfg.Request.Scope = append(cfg.Request.Scope, scopesOf(p.config.Policy)...)
	cfg.Request.RequestedExpiry = p.config.Policy.DefaultExpiry
	if s.callback.notifies() {
		cfg.NotificationToken = strangersToken
	}
	if !s.json {
		cfg.Report = func(f inspect.Finding) { printFinding(out, f) }
	}
	findings := inspect.Run(ctx, cfg)
	return s.concludeProvider(findings, out)
}

// concludeProvider says what the findings come to.
func (s *settings) concludeProvider(findings []inspect.Finding, out io.Writer) error {
	bad := 0
	for _, f := range findings {
		if f.Bad() {
			bad++
		}
	}
	if s.json {
		err := json.NewEncoder(out).Encode(struct {
			Issuer   string            `json:"issuer"`
			Profile  string            `json:"profile"`
			OK       bool              `json:"ok"`
			Findings []inspect.Finding `json:"findings"`
		}{s.issuer, s.providerProfile, bad == 0, findings})
		if err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("sign-ins at %s will fail: %d of %d checks failed", s.issuer, bad, len(findings))
	}
	return nil
}

func printFinding(out io.Writer, f inspect.Finding) {
	fmt.Fprintf(out, "%-8s %-15s %s\n", f.Status, f.Check, f.Found)
	if f.Advice != "" {
		fmt.Fprintf(out, "%-8s %-15s -> %s\n", "", "", f.Advice)
	}
}

// inspecting returns a client that reaches the provider as that of cfg does, with
// the same certificate.
func inspecting(cfg ciba.Config) *http.Client {
	transport, ok := cfg.HTTPClient.Transport.(*http.Transport)
	if cfg.Certificate == nil || !ok {
		return cfg.HTTPClient
	}
	transport = transport.Clone()
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return cfg.Certificate()
	}
	hc := *cfg.HTTPClient
	hc.Transport = transport
	return &hc
}

// scopesOf are the scopes that any device may ask for.
func scopesOf(p policy.Policy) (all []string) {
	for _, scopes := range p.Scopes {
		all = append(all, scopes...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// strangersToken returns a notification token under a key that is forgotten: if
// the provider should ever notify with it, nobody listens.
func strangersToken() (string, error) {
	key := make([]byte, ciba.MinNotificationKey)
	rand.Read(key)
	tokens, err := ciba.NewNotificationTokens(key)
	if err != nil {
		return "", err
	}
	return tokens.Mint("nobody")
}
