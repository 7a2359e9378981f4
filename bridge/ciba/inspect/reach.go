package inspect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	reachTimeout = 15 * time.Second
	// slow is what a person at a console would call so.
	slow = 2 * time.Second
	// soon is how long before its end a certificate is worth a word.
	soon = 14 * 24 * time.Hour
	// A provider's clock is judged to the second, and ID tokens are judged with a
	// minute's leeway.
	clockWarning, clockFailure = 10 * time.Second, 60 * time.Second
)

// reach asks for the metadata once, only to look at the connection and the clock.
func (in *inspection) reach(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	url := strings.TrimSuffix(in.about.Issuer, "/") + "/.well-known/openid-configuration"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		in.add(Connection, Failed, fmt.Sprintf("the issuer makes no address: %v", err), "set issuer to the provider's issuer URL")
		return
	}
	start := time.Now()
	resp, err := in.cfg.HTTPClient.Do(req)
	if err != nil {
		found, advice := unreached(err)
		in.add(Connection, Failed, found, advice)
		in.add(Clock, Skipped, "the provider was not reached", "")
		return
	}
	took := time.Since(start)
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<20)
	resp.Body.Close()
	in.connection(resp.TLS, took)
	in.clock(resp.Header.Get("Date"), start.Add(took/2))
}

func (in *inspection) connection(state *tls.ConnectionState, took time.Duration) {
	answered := fmt.Sprintf("answered in %v", took.Round(time.Millisecond))
	switch {
	case state == nil:
		in.add(Connection, Warning, answered+", without TLS", "use https but for tests on one machine")
		return
	case took > slow:
		in.add(Connection, Warning, answered, "look at the network and the proxy between here and the provider: every poll takes that long")
		return
	}
	found := answered + " over " + tls.VersionName(state.Version)
	if len(state.PeerCertificates) > 0 {
		end := state.PeerCertificates[0].NotAfter
		found += ", certificate good until " + end.UTC().Format(time.DateOnly)
		if time.Until(end) < soon {
			in.add(Connection, Warning, found, "have the provider's certificate renewed before that day")
			return
		}
	}
	in.ok(Connection, found)
}

// unreached says why a provider was not reached, and what to do.
func unreached(err error) (found, advice string) {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
	)
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("the host name %q is not known", dns.Name), "look at the spelling of issuer, and at the name servers of this machine"
	case errors.As(err, &authority):
		return "the provider's certificate is signed by nobody who is trusted here", "name the roots of a private certificate with provider-roots; otherwise find out who stands between here and the provider"
	case errors.As(err, &host):
		return "the provider's certificate is for another host", "look at the spelling of issuer"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the provider's certificate has expired, or this machine's clock is wrong", "look at the clock first, then have the certificate renewed"
	case errors.As(err, &alert):
		return fmt.Sprintf("the provider broke off the TLS handshake: %v", alert), "if it asks every client for a certificate, set client-cert"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "what answers does not speak TLS", "look at the port in issuer"
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %v", reachTimeout), "look for a firewall or a proxy: the bridge calls the provider, never the other way but for ping and push"
	default:
		return fmt.Sprintf("the provider cannot be reached: %v", err), "look at issuer and at the network of this machine"
	}
}

func (in *inspection) clock(date string, here time.Time) {
	there, err := http.ParseTime(date)
	if err != nil {
		in.add(Clock, Skipped, "the provider does not say what time it has", "")
		return
	}
	off := there.Sub(here).Round(time.Second)
	found := fmt.Sprintf("the provider's clock is %v ahead of this one", off)
	if off < 0 {
		found = fmt.Sprintf("the provider's clock is %v behind this one", -off)
	}
	const advice = "keep both clocks right with NTP: assertions, signed requests and ID tokens carry times"
	switch {
	case off.Abs() >= clockFailure:
		in.add(Clock, Failed, found, advice)
	case off.Abs() >= clockWarning:
		in.add(Clock, Warning, found, advice)
	default:
		in.ok(Clock, "both clocks agree")
	}
}
