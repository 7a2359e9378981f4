package main

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// stepCLI is the stock step CLI, with a home of its own.
type stepCLI struct {
	t    *testing.T
	path string
	dir  string
}

// findStep finds the step CLI, or skips the test where it is not installed.
func findStep(t *testing.T) *stepCLI {
	t.Helper()
	path, err := exec.LookPath("step")
	if err != nil && os.Getenv("CARILLON_INTEROP") == "1" {
		t.Fatal("CARILLON_INTEROP=1, but the step CLI is not installed")
	}
	if err != nil {
		t.Skip("NOT TESTED against the step CLI, which is not installed here: go install github.com/smallstep/cli/cmd/step@v0.30.2")
	}
	return &stepCLI{t: t, path: path, dir: t.TempDir()}
}

// run runs step without a terminal, so that it cannot ask.
func (s *stepCLI) run(args ...string) (string, error) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.path, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "STEPPATH="+filepath.Join(s.dir, "home"))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	s.t.Logf("step %s: %v\n%s", strings.Join(args[:min(len(args), 3)], " "), err, errs.String())
	if err != nil {
		return errs.String(), err
	}
	return strings.TrimSpace(string(out)), nil
}

func (s *stepCLI) ok(args ...string) string {
	s.t.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.t.Fatalf("step %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *stepCLI) fails(want string, args ...string) {
	s.t.Helper()
	if out, err := s.run(args...); err == nil || !strings.Contains(out, want) {
		s.t.Errorf("step %s: %v, %q, want a failure with %q", strings.Join(args, " "), err, out, want)
	}
}

func (s *stepCLI) leaf(name string) *x509.Certificate {
	s.t.Helper()
	certs, err := mtls.ReadCertificates(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return certs[0]
}

// wantHolder asserts whose certificate step has stored.
func (s *stepCLI) wantHolder(name, identity string, usage x509.ExtKeyUsage) *x509.Certificate {
	s.t.Helper()
	leaf := s.leaf(name)
	id, err := mtls.IdentityOf(leaf)
	if err != nil || id.String() != identity || len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != usage {
		s.t.Errorf("%s is for %v with the usage %v (%v), want %s", name, id, leaf.ExtKeyUsage, err, identity)
	}
	return leaf
}

// Does the stock step CLI bootstrap, enrol, renew and revoke against this
// authority?
func TestInteropStep(t *testing.T) {
	step := findStep(t)
	p := newPlace(t)
	p.serve(t)
	fingerprint := strings.TrimSpace(ok(t, "root", "--dir", p.dir, "--fingerprint"))
	tokenKey := func(role string) string { return filepath.Join(p.dir, "tokens", role+".key") }

	step.ok("ca", "bootstrap", "--ca-url", p.url, "--fingerprint", fingerprint)
	if health := step.ok("ca", "health"); health != "ok" {
		t.Errorf("health %q", health)
	}
	step.ok("ca", "roots", "roots.pem", "--force")

	// With a token of ours.
	token := strings.TrimSpace(ok(t, "token", "--dir", p.dir, "device", "x1"))
	step.ok("ca", "certificate", "x1", "x1.crt", "x1.key", "--token", token)
	x1 := step.wantHolder("x1.crt", "urn:carillon:device:x1", x509.ExtKeyUsageClientAuth)
	step.fails("already been used", "ca", "certificate", "x1", "y.crt", "y.key", "--token", token)

	// With tokens of its own, made with the keys of the directory.
	token = step.ok("ca", "token", "mq", "--provisioner", "broker", "--key", tokenKey("broker"), "--san", "mq.example.com", "--san", "192.0.2.7")
	step.ok("ca", "certificate", "mq", "mq.crt", "mq.key", "--token", token)
	if mq := step.wantHolder("mq.crt", "urn:carillon:broker:mq", x509.ExtKeyUsageServerAuth); len(mq.DNSNames) != 1 || len(mq.IPAddresses) != 1 {
		t.Errorf("the broker's names are %v %v", mq.DNSNames, mq.IPAddresses)
	}
	token = step.ok("ca", "token", "x2", "--provisioner", "device", "--key", tokenKey("device"))
	step.ok("ca", "certificate", "x2", "x2.crt", "x2.key", "--token", token)
	x2 := step.wantHolder("x2.crt", "urn:carillon:device:x2", x509.ExtKeyUsageClientAuth)

	// A token of its own for enroll, which then reads what step wrote.
	token = step.ok("ca", "token", "b1", "--provisioner", "bridge", "--key", tokenKey("bridge"), "--san", "urn:carillon:bridge:b1")
	ok(t, "enroll", "--token", token, "--cert", filepath.Join(step.dir, "b1.crt"), "--key", filepath.Join(step.dir, "b1.key"))
	step.ok("certificate", "verify", "b1.crt", "--roots", "roots.pem")

	for _, name := range []string{"x1", "mq", "b1"} {
		before := step.leaf(name + ".crt")
		step.ok("ca", "renew", "--force", name+".crt", name+".key")
		if after := step.leaf(name + ".crt"); after.SerialNumber.Cmp(before.SerialNumber) == 0 {
			t.Errorf("%s was not renewed", name)
		}
	}

	// By itself, and by an operator.
	step.ok("ca", "revoke", "--cert", "x1.crt", "--key", "x1.key")
	token = step.ok("ca", "token", "--revoke", "--provisioner", "device", "--key", tokenKey("device"), x2.SerialNumber.String())
	step.ok("ca", "revoke", "--token", token, x2.SerialNumber.String())
	for _, name := range []string{"x1", "x2"} {
		step.fails("revoked", "ca", "renew", "--force", name+".crt", name+".key")
	}
	list := ok(t, "list", "--dir", p.dir)
	if strings.Count(list, "revoked") != 3 { // x1 twice, once for the renewed one
		t.Errorf("list:\n%s", list)
	}

	inspected := step.ok("crl", "inspect", p.url+"/crl", "--roots", "roots.pem", "--ca", filepath.Join(p.dir, "intermediate.crt"))
	for _, serial := range []string{x1.SerialNumber.String(), x2.SerialNumber.String()} {
		if !strings.Contains(strings.ReplaceAll(inspected, ":", ""), serial) {
			t.Errorf("the list that step reads does not contain %s:\n%s", serial, inspected)
		}
	}

	// What step can do elsewhere.
	step.fails("no call POST", "ca", "rekey", "--force", "mq.crt", "mq.key")
	token = step.ok("ca", "token", "x3", "--provisioner", "device", "--key", tokenKey("device"), "--san", "urn:carillon:bridge:x3")
	step.fails("urn:carillon:bridge:x3", "ca", "certificate", "x3", "x3.crt", "x3.key", "--token", token)
}
