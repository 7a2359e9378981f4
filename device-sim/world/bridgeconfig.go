package world

import (
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// bridgeConfig writes what an operator would write: the configuration file of
// carillon-bridge, and the files that it names.
func (w *World) bridgeConfig(files *mtls.Files, broker string) (path string, err error) {
	roots, secret := w.path("roots.pem"), w.path("client-secret")
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.authority.Root().Raw})
	if err := os.WriteFile(roots, root, 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(secret, []byte(w.secret+"\n"), 0o600); err != nil {
		return "", err
	}
	var scopes []string
	for _, s := range slices.Concat(provider.SampleScopes(), []provider.Scope{{Name: "profile"}}) {
		scopes = append(scopes, s.Name)
	}
	lines := [][2]string{
		{"broker", broker},
		{"cert", files.CertFile},
		{"key", files.KeyFile},
		{"roots", roots},
		{"authority", w.authorityURL},
		{"issuer", w.issuer},
		{"provider-roots", roots},
		{"client-id", clientID},
		{"client-secret-file", secret},
		{"db", w.path("bridge.db")},
		{"scopes", "car=" + strings.Join(scopes, ",")},
		// So that nobody waits 15 s to see a request expire.
		{"min-expiry", "1s"},
		{"log-level", "debug"},
	}
	if life := w.cfg.SessionLife; life > 0 {
		lines = append(lines, [2]string{"session-life", "car=" + life.String()})
	}
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%s = %q\n", l[0], l[1])
	}
	path = w.path("bridge.toml")
	return path, os.WriteFile(path, []byte(b.String()), 0o600)
}
