package cmd

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// parts are the dependencies that the settings name, before anybody is connected
// to and anything is written.
type parts struct {
	files        *mtls.Files
	cert         *tls.Certificate
	self         mtls.Identity
	roots        *x509.CertPool
	devices      *x509.CertPool
	client       *ciba.Client
	clientConfig ciba.Config // that client was made of
	auth         *clientAuth // of clientConfig
	callback     *callback
	row          profile.Profile // of the provider
	config       bridge.Config   // without Store, SealKeys, Revoked and Publisher
}

// require names the first setting that is missing.
func (s *settings) require() error {
	for _, f := range []struct{ name, value, what string }{
		{"broker", s.broker, "host:port of the MQTT broker"},
		{"cert", s.cert, "PEM file with the bridge's certificate"},
		{"key", s.key, "PEM file with its key"},
		{"roots", s.roots, "PEM file with the roots of the broker's certificate"},
		{"db", s.db, "SQLite file, or URL of a PostgreSQL database"},
	} {
		if f.value == "" {
			return usagef("--%s is missing: %s", f.name, f.what)
		}
	}
	if host, port, err := net.SplitHostPort(s.broker); err != nil || host == "" || !isPort(port) {
		return usagef("--broker is %q, want host:port", s.broker)
	}
	if _, port, err := net.SplitHostPort(s.ops); s.ops != "" && (err != nil || !isPort(port)) {
		return usagef("--ops is %q, want host:port or :port", s.ops)
	}
	if err := (&enroll.Client{URL: s.authority}).CheckURL(); s.authority != "" && err != nil {
		return usagef("--authority: %w", err)
	}
	for _, l := range []struct {
		name string
		n    int
	}{{"open", s.limits.Open}, {"calls", s.limits.Calls}, {"polls", s.limits.Polls}, {"renewals", s.limits.Renewals}} {
		if l.n < 1 {
			return usagef("--max-%s is %d, want 1 or more", l.name, l.n)
		}
	}
	if _, err := schemas.UpFilterOf(s.group); err != nil {
		return usagef("--group: %w", err)
	}
	if err := s.requireTraces(); err != nil {
		return err
	}
	_, err := s.storeKeys()
	return err
}

// isPort reports whether text is a port in decimal; names of services are not.
func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && (n > 0 || text == "0")
}

// build turns settings into parts.
func (s *settings) build(log *slog.Logger) (*parts, error) {
	if err := s.require(); err != nil {
		return nil, err
	}
	p, err := s.buildProvider(log)
	if err != nil {
		return nil, err
	}
	p.files = &mtls.Files{CertFile: s.cert, KeyFile: s.key, Logger: log}
	if err := s.buildIdentity(p); err != nil {
		return nil, err
	}
	if p.roots, err = pool("--roots", s.roots); err != nil {
		return nil, err
	}
	p.devices = p.roots
	if s.deviceRoots != "" {
		if p.devices, err = pool("--device-roots", s.deviceRoots); err != nil {
			return nil, err
		}
	}
	if p.callback, err = s.callback.build(log); err != nil {
		return nil, err
	}
	signer := &signerCache{certificate: p.files.Certificate}
	p.config.Signer = signer.get
	p.config.Devices = p.devices
	p.config.Provider = p.client
	p.config.Renewer = p.client
	p.config.Issuer = s.issuer
	p.config.Delivery = ciba.DeliveryMode(s.callback.delivery)
	p.config.RequestContext = s.ask.requestContext
	p.config.Limits = s.buildLimits(p.row)
	p.config.Metrics = metrics.New()
	p.config.Logger = log
	return p, nil
}

// buildProvider returns the parts that are about the provider alone.
func (s *settings) buildProvider(log *slog.Logger) (*parts, error) {
	switch {
	case s.issuer == "":
		return nil, usagef("--issuer is missing: issuer URL of the OpenID provider")
	case s.clientID == "":
		return nil, usagef("--client-id is missing: the bridge's name at the provider")
	}
	for _, require := range []func() error{s.client.require, s.callback.require} {
		if err := require(); err != nil {
			return nil, err
		}
	}
	p := new(parts)
	var err error
	if p.row, err = s.profile(); err != nil {
		return nil, err
	}
	if p.config.Policy, err = s.buildPolicy(p.row); err != nil {
		return nil, err
	}
	if p.config.Asks, err = s.ask.build(p.row); err != nil {
		return nil, err
	}
	return p, s.buildClient(p, log)
}

// buildIdentity reads the bridge's certificate and makes sure that it is one of
// a bridge.
func (s *settings) buildIdentity(p *parts) (err error) {
	if p.cert, err = p.files.Load(); err != nil {
		return fmt.Errorf("--cert, --key: %w", err)
	}
	if p.self, err = mtls.IdentityOf(p.cert.Leaf); err != nil {
		return fmt.Errorf("--cert: %w", err)
	}
	if p.self.Role != mtls.RoleBridge {
		return fmt.Errorf("--cert: %q is a certificate of %s, want one of the role %q", s.cert, p.self, mtls.RoleBridge)
	}
	if _, err := newSigner(p.cert); err != nil {
		return fmt.Errorf("--cert, --key: %w", err)
	}
	return nil
}

func pool(flagName, path string) (*x509.CertPool, error) {
	certs, err := mtls.ReadCertificates(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flagName, err)
	}
	return mtls.Pool(certs...), nil
}

// buildClient makes the client of the provider.
func (s *settings) buildClient(p *parts, log *slog.Logger) error {
	var tlsConfig *tls.Config
	if s.providerRoots != "" {
		roots, err := pool("--provider-roots", s.providerRoots)
		if err != nil {
			return err
		}
		tlsConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	p.clientConfig = ciba.Config{
		Issuer:            s.issuer,
		ClientID:          s.clientID,
		Profile:           p.row,
		Delivery:          ciba.DeliveryMode(s.callback.delivery),
		HTTPClient:        ciba.NewHTTPClient(tlsConfig),
		IDTokenAlgs:       commas(s.idTokenAlgs),
		InsecureAllowHTTP: s.insecureHTTP,
	}
	if s.callback.withoutAtHash {
		p.clientConfig.Tolerate = []ciba.Tolerance{ciba.ToleratePushWithoutAtHash}
	}
	if err := s.client.credentials(&p.clientConfig, log); err != nil {
		return err
	}
	p.auth = newClientAuth(p.clientConfig.Auth)
	p.clientConfig.Auth = p.auth
	var err error
	p.client, err = ciba.New(p.clientConfig)
	return flagged(err)
}

// newLink returns the connection to the broker, over which the bridge is to
// hear from devices.
func (s *settings) newLink(p *parts, handle func(topic string, payload []byte), log *slog.Logger) (*link.Link, error) {
	host, _, _ := net.SplitHostPort(s.broker) // checked by require
	if s.brokerName != "" {
		host = s.brokerName
	}
	filter, err := schemas.UpFilterOf(s.group)
	if err != nil {
		return nil, err
	}
	return link.New(link.Config{
		Dial:      link.TLSDialer(s.broker, mtls.ClientConfig(p.roots, p.files.Certificate, host)),
		ClientID:  p.self.ClientID(),
		Subscribe: []string{filter},
		Handler:   handle,
		// There are few bridges, and all devices wait for them.
		MaxBackoff: longestAbsence,
		Logger:     log,
	})
}

// longestAbsence is how long after the end of an outage a bridge may come back to
// the broker.
const longestAbsence = 10 * time.Second

// newAuthority returns the client of the authority and the list of what it has
// revoked; nil if none is configured.
func (s *settings) newAuthority(p *parts, log *slog.Logger) (*enroll.Renewer, *mtls.RevocationList, error) {
	if s.authority == "" {
		return nil, nil, nil
	}
	client := &enroll.Client{URL: s.authority, Roots: p.roots}
	chain, err := chainOf(p.cert)
	if err != nil {
		return nil, nil, fmt.Errorf("--cert: %w", err)
	}
	if len(chain) < 2 {
		return nil, nil, fmt.Errorf("--cert: %q has no issuer after the bridge's certificate, so no revocation list could be verified", s.cert)
	}
	list, err := mtls.NewRevocationList(mtls.RevocationConfig{Source: client.CRL, Issuers: chain[1:], Logger: log})
	if err != nil {
		return nil, nil, err
	}
	return &enroll.Renewer{Client: client, Certificate: p.files.Certificate, Store: p.files.Store, Logger: log}, list, nil
}

func commas(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
