package main

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// public is a key of which only the public half is known.
type public struct{ key crypto.PublicKey }

func (p public) Public() crypto.PublicKey { return p.key }
func (public) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no private key")
}

// authority answers GET /root/{sha} and POST /sign, as step-ca does.
type authority struct {
	ca    *mtlstest.Authority
	role  mtls.Role
	url   string
	signs int
}

func newAuthority(t *testing.T, role mtls.Role) *authority {
	a := &authority{ca: mtlstest.New(t), role: role}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /root/{sha}", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]string{"ca": certPEM(a.ca.Root.Raw)})
	})
	mux.HandleFunc("POST /sign", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			CSR string `json:"csr"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		block, _ := pem.Decode([]byte(body.CSR))
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			t.Error(err)
			return
		}
		a.signs++
		cert := a.ca.Issue(mtlstest.Leaf{Identity: mtls.Identity{Role: a.role, ID: csr.Subject.CommonName}, Key: public{csr.PublicKey}})
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(map[string]any{"crt": certPEM(cert.Certificate[0]), "ca": certPEM(cert.Certificate[1]),
			"certChain": []string{certPEM(cert.Certificate[0]), certPEM(cert.Certificate[1])}})
	})
	srv := httptest.NewUnstartedServer(mux)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{*a.ca.Server("127.0.0.1")}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	a.url = srv.URL
	return a
}

func certPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (a *authority) token(id, fingerprint string) string {
	claims, _ := json.Marshal(map[string]any{
		"sub": id, "sans": []string{mtls.Identity{Role: mtls.RoleDevice, ID: id}.String()}, "aud": a.url + "/1.0/sign", "sha": fingerprint,
	})
	return "e30." + base64.RawURLEncoding.EncodeToString(claims) + ".c2ln"
}

func (a *authority) fingerprint() string {
	sum := sha256.Sum256(a.ca.Root.Raw)
	return hex.EncodeToString(sum[:])
}

func TestEnroll(t *testing.T) {
	a := newAuthority(t, mtls.RoleDevice)
	dir := filepath.Join(t.TempDir(), "agent")
	call := func(stdin string, args ...string) (int, string) {
		b := &buffer{}
		code := run(t.Context(), append([]string{"enroll", "--dir", dir}, args...), streams{strings.NewReader(stdin), b, b})
		return code, b.String()
	}
	// A wrong fingerprint leaves nothing that could be trusted.
	if code, out := call("", "--token", a.token("car-1", strings.Repeat("00", 32))); code != 1 || a.signs != 0 {
		t.Errorf("a wrong fingerprint: %d %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "roots.crt")); err == nil {
		t.Error("a root was written that nobody vouches for")
	}
	if code, out := call(a.token("car-1", a.fingerprint())+"\n", "--token-file", "-", "--json"); code != 0 || !strings.Contains(out, `{"device":"car-1","not_after":"`) {
		t.Fatalf("%d %s", code, out)
	}
	for _, name := range []string{"device.crt", "device.key", "roots.crt"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	// Again, it does nothing.
	if code, out := call(""); code != 0 || !strings.Contains(out, "device car-1, certificate until") || strings.Contains(out, "token") || a.signs != 1 {
		t.Errorf("again: %d %s, %d signed", code, out, a.signs)
	}
	// It says so to whoever has brought a token, apart from what scripts read.
	for _, args := range [][]string{{"--token", "unused"}, {"--token-file", "/nonexistent"}} {
		out, said := &buffer{}, &buffer{}
		code := run(t.Context(), append([]string{"enroll", "--dir", dir, "--json"}, args...), streams{strings.NewReader(""), out, said})
		if code != 0 || !strings.HasPrefix(out.String(), `{"device":"car-1"`) || a.signs != 1 {
			t.Errorf("again with a token: %d %s, %d signed", code, out, a.signs)
		}
		for _, want := range []string{"the token was not used", filepath.Join(dir, "device.crt"), filepath.Join(dir, "device.key")} {
			if !strings.Contains(said.String(), want) {
				t.Errorf("%q: no %q in %q", args, want, said)
			}
		}
	}
}

// What is not a device's certificate is not taken for one.
func TestEnrollOfSomethingElse(t *testing.T) {
	a := newAuthority(t, mtls.RoleBridge)
	b := &buffer{}
	code := run(t.Context(), []string{"enroll", "--dir", t.TempDir(), "--token", a.token("x", a.fingerprint())}, streams{nil, b, b})
	if code != 1 || !strings.Contains(b.String(), "want a device's") {
		t.Errorf("%d %s", code, b)
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("  \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"--token-file", token}, "--token-file \"" + token + "\" holds no token"}, {[]string{"--token-file", token + "x"}, "--token-file: open " + token + "x"},
		{[]string{"--token", "a", "--token-file", token}, "--token or --token-file"}, {[]string{"--token", a.token("x", "")}, "--fingerprint"},
	} {
		b := &buffer{}
		if code := run(t.Context(), append([]string{"enroll", "--dir", t.TempDir()}, x.args...), streams{nil, b, b}); code == 0 || !strings.Contains(b.String(), x.want) {
			t.Errorf("%q: %d, want %q: %s", x.args, code, x.want, b)
		}
	}
}
