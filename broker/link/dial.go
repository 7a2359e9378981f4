package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// TLSDialer returns a function for [Config.Dial] that connects to addr
// (host:port) over TCP and completes the TLS handshake with cfg, for which
// mtls.ClientConfig is meant. An empty ServerName in cfg means the host of addr.
//
// With TLS 1.3 the client is done before the broker has looked at its
// certificate: a refused certificate shows at the first read.
func TLSDialer(addr string, cfg *tls.Config) func(ctx context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		if cfg == nil {
			return nil, errors.New("no TLS configuration given")
		}
		d := tls.Dialer{Config: cfg}
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("connecting to %s: %w", addr, err)
		}
		return conn, nil
	}
}
