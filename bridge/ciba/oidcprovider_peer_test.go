package ciba_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// oidcProviderDir holds the program and its locked dependencies.
const oidcProviderDir = "testdata/oidc-provider"

// An oidcProvider is the npm package oidc-provider in a process of its own,
// reached over TLS.
type oidcProvider struct {
	authority *mtlstest.Authority // of the server's certificate and of clients
	issuer    string
	http      *http.Client // trusts the authority
}

// startOIDCProvider starts the provider with clients, whose certificates are
// authority's, or skips the test where it is not installed.
func startOIDCProvider(t *testing.T, authority *mtlstest.Authority, clients []interopClient) *interopPeer {
	t.Helper()
	node, problem := findNode()
	switch {
	case problem != "" && os.Getenv("CARILLON_INTEROP") == "1":
		t.Fatalf("CARILLON_INTEROP=1, but %s", problem)
	case problem != "":
		t.Skipf("NOT TESTED against oidc-provider: %s", problem)
	}
	op := &oidcProvider{authority: authority}
	op.http = ciba.NewHTTPClient(&tls.Config{RootCAs: op.authority.Roots()})
	t.Cleanup(op.http.CloseIdleConnections)
	op.issuer = op.start(t, node, clients)
	return &interopPeer{name: oidcProviderName(t), issuer: op.issuer, http: op.http, people: op, profile: row(t, "node-oidc-provider"), inquire: clients[0], remarks: map[string]string{
		"asked again at once": "it has no `slow_down`",
	}}
}

// oidcProviderName names the version that is locked.
func oidcProviderName(t *testing.T) string {
	t.Helper()
	var lock struct {
		Packages map[string]struct{ Version string }
	}
	data, err := os.ReadFile(filepath.Join(oidcProviderDir, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		t.Fatal(err)
	}
	return "oidc-provider " + lock.Packages["node_modules/oidc-provider"].Version
}

// findNode returns the path of node, or what is missing and how to get it.
func findNode() (path, problem string) {
	path, err := exec.LookPath("node")
	if err != nil {
		return "", "node is not installed: apt-get install nodejs npm (20 or later), then npm ci in bridge/ciba/" + oidcProviderDir
	}
	if _, err := os.Stat(filepath.Join(oidcProviderDir, "node_modules", "oidc-provider")); err != nil {
		return "", "its packages are not installed: npm ci in bridge/ciba/" + oidcProviderDir
	}
	return path, ""
}

// start runs the program until the test ends. The program also ends by itself
// when the test process dies, because its standard input does.
func (op *oidcProvider) start(t *testing.T, node string, clients []interopClient) (issuer string) {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, certificatePEM(op.authority.Root.Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(node, "server.mjs")
	cmd.Dir = oidcProviderDir
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+ca)
	cmd.Stderr = &log
	stdin := must(cmd.StdinPipe())
	stdout := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("oidc-provider said:\n%s", &log)
		}
	})
	if err := json.NewEncoder(stdin).Encode(op.configuration(t, clients)); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timeout.Stop()
	var ready struct{ Issuer string }
	if err := json.NewDecoder(bufio.NewReader(stdout)).Decode(&ready); err != nil {
		t.Fatalf("oidc-provider did not start: %v", err)
	}
	return ready.Issuer
}

func (op *oidcProvider) configuration(t *testing.T, clients []interopClient) map[string]any {
	t.Helper()
	server := op.authority.Server("localhost")
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var metadata []map[string]any
	for _, c := range clients {
		metadata = append(metadata, c.registration())
	}
	return map[string]any{
		"cert":    string(certificatePEM(server.Certificate...)),
		"key":     string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"ca":      string(certificatePEM(op.authority.Root.Raw)),
		"clients": metadata,
	}
}

func certificatePEM(chain ...[]byte) (out []byte) {
	for _, der := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

// decide returns the parameters of the request.
func (op *oidcProvider) decide(t *testing.T, d decision) map[string]any {
	t.Helper()
	body := must(json.Marshal(d))
	resp, err := op.http.Post(op.issuer+"/control/decide", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return decodeOK(t, resp)
}

// lapse has nothing to do: the time of a request runs out by itself.
func (op *oidcProvider) lapse(*testing.T, string) {}

func (op *oidcProvider) brief() time.Duration { return time.Second }
