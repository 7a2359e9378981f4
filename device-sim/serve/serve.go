// Package serve serves HTTPS for the simulator's servers.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// goodbye is how long a request may still take when its server is stopped. Who
// could have sent one has been stopped before; idle HTTP/2 connections would use
// up a second.
const goodbye = 100 * time.Millisecond

// HTTPS serves h on l with a certificate of the fleet's authority until ctx ends,
// and then lets what is on its way finish. It closes l.
func HTTPS(ctx context.Context, l net.Listener, h http.Handler, cert mtls.CertificateFunc, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS13,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert() },
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(l, "", "") }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
