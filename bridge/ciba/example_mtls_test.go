package ciba_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http/httptest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// A certificate instead of a secret: the handshake proves the client, and the
// provider knows the certificate from the client's key set.
func ExampleSelfSignedTLSClientAuth() {
	certificate, err := selfSigned("till-7")
	if err != nil {
		fmt.Println(err)
		return
	}
	// The provider, which would be somewhere else.
	op := &cibatest.Provider{
		Interval: time.Second, AutoApprove: time.Millisecond,
		ClientCertificate: func(c *x509.Certificate) bool { return c.Equal(certificate.Leaf) },
	}
	server := httptest.NewUnstartedServer(op)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	op.Issuer = server.URL
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	client, err := ciba.New(ciba.Config{
		Issuer:      op.IssuerURL(),
		ClientID:    cibatest.ClientID,
		Auth:        ciba.SelfSignedTLSClientAuth(),
		Certificate: func() (*tls.Certificate, error) { return certificate, nil },
		HTTPClient:  ciba.NewHTTPClient(&tls.Config{RootCAs: roots}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	ack, err := client.RequestAuthentication(ctx, ciba.AuthenticationRequest{
		Scope:          []string{"openid"},
		LoginHint:      "anna@example.com",
		BindingMessage: client.Profile().Binding.New(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := client.Wait(ctx, ack, ciba.Expect{Subject: "anna@example.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("tokens for", tokens.IDToken.Subject)
	// Output: tokens for anna@example.com
}

// selfSigned returns a certificate that is good for a day, and its key.
func selfSigned(name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(24 * time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
