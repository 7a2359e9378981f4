package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// maxCRL bounds a revocation list, in bytes; the reader of lists has the same
// bound.
const maxCRL = 32 << 20

// revocations returns the list to ask, filled, or nil for none. Chain is the
// broker's own: it is issued by those who issue the clients', unless the
// settings say otherwise.
func (s *settings) revocations(ctx context.Context, authority *enroll.Client, chain [][]byte, roots []*x509.Certificate,
	changed func(), log *slog.Logger) (*mtls.RevocationList, error) {
	if s.insecure {
		log.Warn("revoked certificates are accepted until they expire")
		return nil, nil
	}
	issuers, err := s.issuers(chain, roots)
	if err != nil {
		return nil, err
	}
	source := s.crlSource(roots)
	if s.crl == "" {
		source = authority.CRL
	}
	var started bool
	list, err := mtls.NewRevocationList(mtls.RevocationConfig{
		Source: source, Issuers: issuers, Every: s.crlEvery, Logger: log,
		OnChange: func() {
			if started {
				changed()
			}
		},
	})
	if err != nil {
		return nil, err
	}
	err = list.Refresh(ctx)
	started = true
	if err != nil && !s.crlOptional {
		return nil, fmt.Errorf("%s: %w (--crl-optional starts without it)", s.crlFlag(), err)
	}
	if err != nil {
		log.Warn("starting without a revocation list", "error", err)
	}
	return list, nil
}

// crlFlag is the flag that says where the list comes from.
func (s *settings) crlFlag() string {
	if s.crl != "" {
		return "--crl"
	}
	return "--authority"
}

// issuers are those who may sign the list.
func (s *settings) issuers(chain [][]byte, roots []*x509.Certificate) ([]*x509.Certificate, error) {
	if s.crlIssuers != "" {
		certs, err := mtls.ReadCertificates(s.crlIssuers)
		if err != nil {
			return nil, fmt.Errorf("--crl-issuers: %w", err)
		}
		return certs, nil
	}
	var certs []*x509.Certificate
	for _, der := range chain[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("--cert: %w", err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return roots, nil // clients are issued by the root itself
	}
	return certs, nil
}

// crlSource fetches the list that --crl names. A server is verified with the
// roots of the clients or, for another authority, those of the system; the list
// is signed in any case.
func (s *settings) crlSource(roots []*x509.Certificate) func(context.Context) ([]byte, error) {
	if !strings.Contains(s.crl, "://") {
		return func(context.Context) ([]byte, error) { return readCRL(os.Open(s.crl)) }
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, c := range roots {
		pool.AddCert(c)
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}}
	return func(ctx context.Context) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.crl, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			resp.Body.Close()
			return nil, fmt.Errorf("%s answered %q, want 200", s.crl, resp.Status)
		}
		return readCRL(resp.Body, nil)
	}
}

// readCRL reads a list in DER, or in PEM, and closes r.
func readCRL(r io.ReadCloser, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxCRL+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxCRL {
		return nil, fmt.Errorf("more than %d bytes", maxCRL)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN ")) {
		return b, nil
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "X509 CRL" {
		return nil, errors.New(`PEM without an "X509 CRL" block`)
	}
	return block.Bytes, nil
}
