package cmd_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/schemas"
)

// hangUp sends SIGHUP and waits until the log has these words once more.
func hangUp(t *testing.T, bridge *exec.Cmd, words string) {
	t.Helper()
	said := bridge.Stderr.(*log)
	before := strings.Count(said.String(), words)
	if err := bridge.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, words, func() bool { return strings.Count(said.String(), words) > before })
}

func refusedWith(code schemas.Code) func(schemas.Message) bool {
	return func(m schemas.Message) bool {
		r, ok := m.(*schemas.Refused)
		return ok && r.Code == code
	}
}

// The client's secret is read again on SIGHUP; one that cannot be is not taken.
func TestReloadSecret(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{AutoApprove: time.Millisecond, Interval: time.Second})
	bridge := w.spawn()
	c := w.car("car-1")
	sealing := c.hello()
	c.insist(c.signIn(sealing, "anna@example.com"), granted)

	w.write("secret", "not the secret\n")
	c.insist(c.signIn(sealing, "anna@example.com"), granted) // not before somebody asks
	hangUp(t, bridge, `msg=reloaded what="client credentials"`)
	c.insist(c.signIn(sealing, "anna@example.com"), refusedWith(schemas.ProviderError))

	w.write("secret", cibatest.ClientSecret)
	hangUp(t, bridge, `msg=reloaded what="client credentials"`)
	w.write("secret", "\n")
	hangUp(t, bridge, `level=ERROR msg="cannot reload, going on with the last one" what="client credentials"`)
	c.insist(c.signIn(sealing, "anna@example.com"), granted)
	if strings.Contains(bridge.Stderr.(*log).String(), "not the secret") {
		t.Error("the log has a secret")
	}
}

// A sealing key that is put in front is told to devices, and the one behind it
// is good until it goes.
func TestReloadSealKey(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{AutoApprove: time.Millisecond, Interval: time.Second})
	bridge := w.spawn("--person-burst=20")
	c := w.car("car-1")
	first := c.hello()
	old, err := os.ReadFile(w.path("bridge.db.seal"))
	if err != nil {
		t.Fatal(err)
	}
	fresh, _ := ecdh.X25519().GenerateKey(rand.Reader)
	der, err := x509.MarshalPKCS8PrivateKey(fresh)
	if err != nil {
		t.Fatal(err)
	}
	block := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	w.write("bridge.db.seal", block+string(old))
	hangUp(t, bridge, "msg=reloaded what=seal-key")
	var second schemas.PublicKey
	eventually(t, "the new key", func() bool { second = c.hello(); return string(second[:]) == string(fresh.PublicKey().Bytes()) })
	c.insist(c.signIn(first, "anna@example.com"), granted)
	c.insist(c.signIn(second, "anna@example.com"), granted)

	w.write("bridge.db.seal", "no key\n")
	hangUp(t, bridge, `level=ERROR msg="cannot reload, going on with the last one" what=seal-key`)
	c.insist(c.signIn(first, "anna@example.com"), granted)

	w.write("bridge.db.seal", block)
	hangUp(t, bridge, "msg=reloaded what=seal-key")
	c.insist(c.signIn(first, "anna@example.com"), refusedWith(schemas.UnknownKey))
	c.insist(c.signIn(second, "anna@example.com"), granted)
}
