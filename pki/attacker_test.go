package pki_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// tokenKey reads the key that signs the tokens of a role: what a thief of that
// key has.
func (w *world) tokenKey(role string) crypto.Signer {
	w.t.Helper()
	key, err := (&mtls.Files{KeyFile: filepath.Join(w.dir, "tokens", role+".key")}).LoadKey()
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

// forge signs any claims with any key, over those of a good device token. A nil
// value removes a claim.
func (w *world) forge(key crypto.Signer, change map[string]any) string {
	w.t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": "device", "sub": "x1", "aud": w.url + "/1.0/sign", "jti": rand.Text(), "sans": []string{"urn:carillon:device:x1"},
		"nbf": now.Unix(), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	kid := thumbprint(w.t, key.Public())
	for k, v := range change {
		switch {
		case k == "kid":
			kid = v.(string)
		case v == nil:
			delete(claims, k)
		default:
			claims[k] = v
		}
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: cryptosigner.Opaque(key)}, (&jose.SignerOptions{}).WithHeader("kid", kid))
	if err != nil {
		w.t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func thumbprint(t *testing.T, pub crypto.PublicKey) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: pub}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// request makes a certificate request as an attacker would: with anything in it.
func request(t *testing.T, template x509.CertificateRequest, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// post makes a call with any body and any certificate.
func (w *world) post(path string, body any, cert *tls.Certificate) (status int, answer map[string]any) {
	w.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := mtls.ClientConfig(w.Roots(), nil, "127.0.0.1")
	if cert != nil {
		cfg = mtls.ClientConfig(w.Roots(), mtls.Fixed(cert), "127.0.0.1")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
	resp, err := client.Post(w.url+path, "application/json", bytes.NewReader(data))
	if err != nil {
		return 0, map[string]any{"message": err.Error()}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if json.Unmarshal(text, &answer) != nil {
		answer = map[string]any{"message": string(text)}
	}
	return resp.StatusCode, answer
}

func (w *world) sign(token string, csr []byte, more map[string]any) (int, *x509.Certificate, string) {
	w.t.Helper()
	body := map[string]any{"ott": token, "csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))}
	maps.Copy(body, more)
	status, answer := w.post("/1.0/sign", body, nil)
	message, _ := answer["message"].(string)
	text, _ := answer["crt"].(string)
	if block, _ := pem.Decode([]byte(text)); block != nil {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			w.t.Fatal(err)
		}
		return status, cert, message
	}
	return status, nil, message
}
