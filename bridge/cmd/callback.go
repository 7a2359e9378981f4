package cmd

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// callbackPath is where the provider notifies the bridge.
const callbackPath = "/ciba/notification"

// callbackSettings say how the provider delivers what people decide.
type callbackSettings struct {
	delivery                string
	address                 string
	cert, key               string
	insecureHTTP            bool
	clientRoots, clientName string
	withoutAtHash           bool
}

func (s *callbackSettings) define(fs *flag.FlagSet) {
	fs.StringVar(&s.delivery, "delivery", "poll", "how the provider reports what a person decides, as the client is registered there: poll, ping or push")
	fs.StringVar(&s.address, "callback", "", "`address` at which the provider pings or pushes, such as :8443; its path is "+callbackPath)
	fs.StringVar(&s.cert, "callback-cert", "", "PEM `file` with the certificate of --callback and its issuers; read again when it changes")
	fs.StringVar(&s.key, "callback-key", "", "PEM `file` with its key")
	fs.BoolVar(&s.insecureHTTP, "callback-insecure-http", false, "serve --callback without TLS: only for a proxy in front of it that has TLS")
	fs.StringVar(&s.clientRoots, "callback-client-roots", "", "PEM `file` with the roots of the provider's own client certificate, which is then demanded; empty: none is asked for")
	fs.StringVar(&s.clientName, "callback-client-name", "", "DNS `name` that this certificate must have; empty: any")
	fs.BoolVar(&s.withoutAtHash, "push-without-at-hash", false, "take pushed ID tokens without at_hash, which CIBA demands: some providers leave it out")
}

// notifies reports whether the provider calls the bridge.
func (s *callbackSettings) notifies() bool { return s.delivery == "ping" || s.delivery == "push" }

// require names the first setting that does not go with the others.
func (s *callbackSettings) require() error {
	if modes := []string{"poll", "ping", "push"}; !slices.Contains(modes, s.delivery) {
		return usagef("--delivery is %q, want one of %q", s.delivery, modes)
	}
	_, port, err := net.SplitHostPort(s.address)
	tls := s.cert != "" || s.key != ""
	for _, c := range []struct {
		wrong bool
		text  string
	}{
		{s.notifies() && s.address == "", "--callback is missing: with --delivery " + s.delivery + " the provider must reach the bridge"},
		{!s.notifies() && s.address != "", "--callback is of no use with --delivery poll: the provider calls nobody"},
		{s.address != "" && (err != nil || !isPort(port)), fmt.Sprintf("--callback is %q, want host:port or :port", s.address)},
		{s.address == "" && tls, "--callback-cert and --callback-key are of no use without --callback"},
		{s.address == "" && s.insecureHTTP, "--callback-insecure-http is of no use without --callback"},
		{s.address == "" && s.clientRoots != "", "--callback-client-roots are of no use without --callback"},
		{tls && s.insecureHTTP, "--callback-insecure-http does not go with --callback-cert and --callback-key"},
		{s.address != "" && !s.insecureHTTP && s.cert == "", "--callback-cert is missing: tokens come in at --callback; behind a proxy that has TLS, say --callback-insecure-http"},
		{s.cert != "" && s.key == "", "--callback-key is missing: PEM file with the key of --callback-cert"},
		{s.clientRoots != "" && s.insecureHTTP, "--callback-client-roots do not go with --callback-insecure-http: the proxy must check them"},
		{s.clientName != "" && s.clientRoots == "", "--callback-client-name is of no use without --callback-client-roots"},
		{s.withoutAtHash && s.delivery != "push", "--push-without-at-hash is of no use with --delivery " + s.delivery},
	} {
		if c.wrong {
			return usagef("%s", c.text)
		}
	}
	return nil
}

// A callback is the notification endpoint as it will be served.
type callback struct {
	cert   *tls.Certificate // as it was at the start; nil without TLS
	tls    *tls.Config      // nil without TLS
	verify func(*tls.ConnectionState) error
}

// build reads the files.
func (s *callbackSettings) build(log *slog.Logger) (*callback, error) {
	if s.address == "" || s.insecureHTTP {
		return new(callback), nil
	}
	files := &mtls.Files{CertFile: s.cert, KeyFile: s.key, Logger: log}
	cert, err := files.Load()
	if err != nil {
		return nil, fmt.Errorf("--callback-cert, --callback-key: %w", err)
	}
	c := &callback{cert: cert, tls: &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   forwardSecret(),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return files.Certificate() },
	}}
	if s.clientRoots == "" {
		return c, nil
	}
	if c.tls.ClientCAs, err = pool("--callback-client-roots", s.clientRoots); err != nil {
		return nil, err
	}
	c.tls.ClientAuth = tls.RequireAndVerifyClientCert
	if s.clientName != "" {
		c.verify = func(state *tls.ConnectionState) error { return state.PeerCertificates[0].VerifyHostname(s.clientName) }
	}
	return c, nil
}

// forwardSecret are the cipher suites of TLS 1.2 that BCP 195 (RFC 9325 section
// 4.2) recommends.
func forwardSecret() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// endpoint is the URL at which the provider finds the callback, as far as the
// bridge can know: behind a proxy it is the proxy's.
func (s *callbackSettings) endpoint(cert *tls.Certificate) string {
	_, port, _ := net.SplitHostPort(s.address) // checked by require
	host := "<the proxy>"
	if cert != nil {
		host = "<this host>"
		if name := nameOf(cert.Leaf); name != "" {
			host = name
		}
		if port != "443" {
			host = net.JoinHostPort(host, port)
		}
	}
	return "https://" + host + callbackPath
}

// nameOf returns the first name for which a server's certificate is good.
func nameOf(leaf *x509.Certificate) string {
	switch {
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		return leaf.IPAddresses[0].String()
	}
	return ""
}
