package pki_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// foreign finds a program that nobody here wrote, or skips the test where it is
// not installed.
func foreign(t *testing.T, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil && os.Getenv("CARILLON_INTEROP") == "1" {
		t.Fatalf("CARILLON_INTEROP=1, but %s is not installed", name)
	}
	if err != nil {
		t.Skipf("NOT TESTED with %s, which is not installed here: %s", name, install)
	}
	return path
}

// ways are all the ways to a certificate.
var ways = map[string]func(t *testing.T, w *world, id mtls.Identity) enrolled{
	"sign":  func(_ *testing.T, w *world, id mtls.Identity) enrolled { return w.enroll(id) },
	"renew": func(t *testing.T, w *world, id mtls.Identity) enrolled { return mustRenew(t, w, w.enroll(id)) },
	"issue": func(t *testing.T, w *world, id mtls.Identity) enrolled {
		key := mtlstest.Key(t)
		chain, err := w.Issue(pki.IssueRequest{Identity: id, PublicKey: key.Public()})
		if err != nil {
			t.Fatal(err)
		}
		return enrolled{chain, key}
	},
	"step": enrollWithStep,
}

func enrollWithStep(t *testing.T, w *world, id mtls.Identity) enrolled {
	t.Helper()
	path := foreign(t, "step", "go install github.com/smallstep/cli/cmd/step@v0.30.2")
	dir := t.TempDir()
	for _, args := range [][]string{
		{"ca", "bootstrap", "--ca-url", w.url, "--fingerprint", w.RootFingerprint()},
		{"ca", "certificate", id.ID, "x.crt", "x.key", "--token", w.token(id, pki.TokenOptions{})},
	} {
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "STEPPATH="+filepath.Join(dir, "home"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("step %s: %v\n%s", strings.Join(args[:2], " "), err, out)
		}
	}
	chain, err := mtls.ReadCertificates(filepath.Join(dir, "x.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "x.crt"), filepath.Join(dir, "x.key"))
	if err != nil {
		t.Fatal(err)
	}
	return enrolled{chain, pair.PrivateKey.(crypto.Signer)}
}

// files is a directory that other programs read.
type files struct {
	t   *testing.T
	dir string
}

func (f files) path(name string) string { return filepath.Join(f.dir, name) }

func (f files) write(name string, data []byte) {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), data, 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f files) writeCertificates(name string, certs ...*x509.Certificate) {
	f.t.Helper()
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	f.write(name, out)
}

// writeCRL stores the list as the authority serves it.
func (f files) writeCRL(w *world) {
	f.t.Helper()
	der, err := w.client.CRL(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	f.write("crl.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

// Does OpenSSL take the list for that of every certificate?
func TestInteropOpenSSL(t *testing.T) {
	openssl := foreign(t, "openssl", "apt-get install openssl")
	w := newWorld(t, nil)
	for name, obtain := range ways {
		t.Run(name, func(t *testing.T) {
			f := files{t, t.TempDir()}
			f.writeCertificates("roots.pem", w.Root())
			f.writeCertificates("intermediate.pem", w.Intermediate())
			verify := func(wantErr bool, want string) {
				t.Helper()
				f.writeCRL(w)
				out, err := exec.CommandContext(t.Context(), openssl, "verify", "-x509_strict", "-crl_check", "-CAfile", f.path("roots.pem"),
					"-untrusted", f.path("intermediate.pem"), "-CRLfile", f.path("crl.pem"), f.path("leaf.pem")).CombinedOutput()
				if (err != nil) != wantErr || !strings.Contains(string(out), want) {
					t.Errorf("openssl verify: %v, want %q:\n%s", err, want, out)
				}
			}
			id := device("openssl-" + name)
			f.writeCertificates("leaf.pem", obtain(t, w, id).leaf())
			verify(false, "leaf.pem: OK")
			if _, err := w.Revoke(t.Context(), id, pki.ReasonKeyCompromise, ""); err != nil {
				t.Fatal(err)
			}
			verify(true, "certificate revoked")
		})
	}
}

// Does mosquitto, with the documented configuration and the list of this
// authority, let in who is good and nobody who is revoked?
func TestInteropMosquittoRevocation(t *testing.T) {
	mosquitto := foreign(t, "mosquitto", "apt-get install mosquitto")
	w := newWorld(t, nil)
	for name, obtain := range ways {
		t.Run(name, func(t *testing.T) {
			b := installMosquitto(t, w, mosquitto)
			good, bad := device("good-"+name), device("bad-"+name)
			a, z := obtain(t, w, good), obtain(t, w, bad)
			b.start()
			for _, e := range []enrolled{a, z} {
				if err := b.connect(e); err != nil {
					t.Errorf("%s was refused: %v", e.leaf().Subject, err)
				}
			}
			if _, err := w.Revoke(t.Context(), bad, pki.ReasonKeyCompromise, ""); err != nil {
				t.Fatal(err)
			}
			b.stop()
			b.writeCRL(w)
			b.start()
			if err := b.connect(a); err != nil {
				t.Errorf("%s was refused: %v", a.leaf().Subject, err)
			}
			if err := b.connect(z); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s, which is revoked: %v, want to be cut off", z.leaf().Subject, err)
			}
		})
	}
}
