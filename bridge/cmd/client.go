package cmd

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// clientSettings say how the bridge proves itself to the provider.
type clientSettings struct {
	auth, secretFile         string
	cert, key, keyID, keyAlg string
	signRequests             bool
	requestKey, requestKeyID string
}

// The methods of --client-auth.
const (
	authBasic      = "basic"
	authPost       = "post"
	authJWT        = "private-key-jwt"
	authTLS        = "tls"
	authSelfSigned = "self-signed-tls"
)

func (s *clientSettings) define(fs *flag.FlagSet) {
	fs.StringVar(&s.auth, "client-auth", "", "how the bridge proves itself: basic or post (a secret), private-key-jwt, tls or self-signed-tls; empty: basic with --client-secret-file, private-key-jwt with --client-key")
	fs.StringVar(&s.secretFile, "client-secret-file", "", "`file` with the client secret")
	fs.StringVar(&s.key, "client-key", "", "PEM `file` with the key of private-key-jwt, and of --client-cert")
	fs.StringVar(&s.keyID, "client-key-id", "", "its kid at the provider; empty: none")
	fs.StringVar(&s.keyAlg, "client-key-alg", "", "its algorithm; empty: PS256, ES256, ES384, ES512 or EdDSA, as the key is")
	fs.StringVar(&s.cert, "client-cert", "", "PEM `file` with the certificate that the provider knows the bridge by (tls, self-signed-tls), or binds tokens to; read again when it changes, with --client-key")
	fs.BoolVar(&s.signRequests, "sign-requests", false, "sign authentication requests, with PS256 or ES256")
	fs.StringVar(&s.requestKey, "request-key", "", "PEM `file` with the key that signs them; empty: --client-key")
	fs.StringVar(&s.requestKeyID, "request-key-id", "", "its kid at the provider")
}

// method is --client-auth, or what it stands for if it is empty.
func (s *clientSettings) method() string {
	switch {
	case s.auth == "" && s.secretFile != "":
		return authBasic
	case s.auth == "" && s.key != "" && s.cert == "":
		return authJWT
	}
	return s.auth
}

// require names the first setting that is missing, or does not go with the
// others.
func (s *clientSettings) require() error {
	methods := []string{authBasic, authPost, authJWT, authTLS, authSelfSigned}
	method := s.method()
	switch {
	case method == "" && s.cert != "":
		return usagef("--client-auth is missing: with --client-cert alone it could be one of %q", methods[2:])
	case method == "":
		return usagef("--client-secret-file or --client-key is missing: how the bridge proves itself to the provider")
	case !slices.Contains(methods, method):
		return usagef("--client-auth is %q, want one of %q", method, methods)
	}
	secret := method == authBasic || method == authPost
	certificate := method == authTLS || method == authSelfSigned
	signsWithClientKey := s.signRequests && s.requestKey == ""
	for _, c := range []struct {
		wrong bool
		text  string
	}{
		{secret && s.secretFile == "", "--client-secret-file is missing: --client-auth is " + method},
		{!secret && s.secretFile != "", "--client-secret-file is of no use with --client-auth " + method},
		{certificate && s.cert == "", "--client-cert is missing: --client-auth is " + method},
		{!secret && s.key == "", "--client-key is missing: --client-auth is " + method},
		{s.cert != "" && s.key == "", "--client-key is missing: PEM file with the key of --client-cert"},
		{signsWithClientKey && s.key == "", "--request-key or --client-key is missing: --sign-requests needs a key"},
		{secret && s.key != "" && s.cert == "" && !signsWithClientKey, "--client-secret-file and --client-key: exactly one of them is of use with --client-auth " + method},
		{s.keyID != "" && s.key == "", "--client-key-id is of no use without --client-key"},
		{s.keyAlg != "" && method != authJWT, "--client-key-alg is of no use with --client-auth " + method},
		{s.requestKey != "" && !s.signRequests, "--request-key is of no use without --sign-requests"},
		{s.requestKeyID != "" && s.requestKey == "", "--request-key-id is of no use without --request-key"},
		{s.requestKey != "" && s.requestKeyID == "", "--request-key-id is missing: the provider finds the key by it"},
		{signsWithClientKey && s.keyID == "", "--client-key-id is missing: with --sign-requests the provider finds the key by it"},
	} {
		if c.wrong {
			return usagef("%s", c.text)
		}
	}
	return nil
}

// credentials completes a client's configuration with what proves the bridge.
func (s *clientSettings) credentials(cfg *ciba.Config, log *slog.Logger) (err error) {
	if cfg.Auth, err = s.authenticator(); err != nil {
		return err
	}
	if s.cert != "" {
		files := &mtls.Files{CertFile: s.cert, KeyFile: s.key, Logger: log}
		if _, err := files.Load(); err != nil {
			return fmt.Errorf("--client-cert, --client-key: %w", err)
		}
		cfg.Certificate = func() (*tls.Certificate, error) { return files.Certificate() }
	}
	if !s.signRequests {
		return nil
	}
	flagName, path := "--client-key", s.key
	if s.requestKey != "" {
		flagName, path = "--request-key", s.requestKey
	}
	key, err := loadKey(flagName, path)
	if err != nil {
		return err
	}
	cfg.RequestSigning = &ciba.RequestSigning{Key: ciba.PrivateKey{Signer: key, KeyID: cmp.Or(s.requestKeyID, s.keyID)}}
	return nil
}

func (s *clientSettings) authenticator() (ciba.Authenticator, error) {
	switch s.method() {
	case authTLS:
		return ciba.TLSClientAuth(), nil
	case authSelfSigned:
		return ciba.SelfSignedTLSClientAuth(), nil
	case authJWT:
		key, err := loadKey("--client-key", s.key)
		if err != nil {
			return nil, err
		}
		auth, err := ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: key, KeyID: s.keyID, Algorithm: s.keyAlg})
		if err != nil {
			return nil, fmt.Errorf("--client-key: %w", err)
		}
		return auth, nil
	}
	secret, err := os.ReadFile(s.secretFile)
	if err != nil {
		return nil, fmt.Errorf("--client-secret-file: %w", err)
	}
	secret = bytes.TrimRight(secret, "\r\n")
	if len(secret) == 0 {
		return nil, fmt.Errorf("--client-secret-file: %q is empty", s.secretFile)
	}
	if s.method() == authPost {
		return ciba.ClientSecretPost(string(secret)), nil
	}
	return ciba.ClientSecretBasic(string(secret)), nil
}

func loadKey(flagName, path string) (crypto.Signer, error) {
	key, err := (&mtls.Files{KeyFile: path}).LoadKey()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flagName, err)
	}
	return key, nil
}
