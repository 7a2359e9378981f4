package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
)

type enrollFlags struct {
	place
	token, tokenFile, url, fingerprint string
	json                               bool
}

func (o *enrollFlags) define(fs *flag.FlagSet) {
	o.place.define(fs)
	fs.StringVar(&o.token, "token", "", "the one-time token; anybody on this machine can read it while the command runs")
	fs.StringVar(&o.tokenFile, "token-file", "", "`file` with the token, - for standard input")
	fs.StringVar(&o.url, "ca-url", "", "`URL` of the authority (default the token's)")
	fs.StringVar(&o.fingerprint, "fingerprint", "", "SHA-256 of the authority's root, in hex (default the token's)")
	fs.BoolVar(&o.json, "json", false, "print JSON")
}

func (c *cli) enrollCommand() *ffcli.Command {
	var o enrollFlags
	return c.command(command{
		name: "enroll", short: "Obtains the device's certificate with a one-time token.",
		help: `Makes a key on the device, unless there is one, and obtains a certificate for it. The
token names the authority and the fingerprint of its root. Run again, it does
nothing if the certificate is there, and says that a token was not used. The key never leaves the device.

EXAMPLE
  carillon-agent enroll --token-file token
  ssh ops carillon-pki token device | carillon-agent enroll --token-file -`,
		flags: o.define,
		exec:  func(ctx context.Context, _ []string) error { return c.enroll(ctx, &o) },
	})
}

func (c *cli) enroll(ctx context.Context, o *enrollFlags) error {
	o.fill()
	if err := (&enroll.Client{URL: o.url}).CheckURL(); o.url != "" && err != nil {
		return usagef("--ca-url: %w", err)
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	files := &mtls.Files{CertFile: o.cert, KeyFile: o.key}
	client := &enroll.Client{URL: o.url}
	token := ""
	if cert, err := files.Load(); err == nil {
		c.noteKept(cert, o)
	} else {
		if token, err = o.readToken(c.in); err != nil {
			return err
		}
		if err := o.trust(ctx, client, token); err != nil {
			return err
		}
	}
	cert, err := client.Provision(ctx, files, token)
	if err != nil {
		return err
	}
	id, err := mtls.IdentityOf(cert.Leaf)
	if err != nil {
		return err
	}
	if id.Role != mtls.RoleDevice {
		return fmt.Errorf("the certificate is for %s, want a device's", id)
	}
	if o.json {
		c.line(struct {
			Device   string    `json:"device"`
			NotAfter time.Time `json:"not_after"`
		}{id.ID, cert.Leaf.NotAfter})
		return nil
	}
	fmt.Fprintf(c.out, "device %s, certificate until %s\n", id.ID, cert.Leaf.NotAfter.UTC().Format(time.RFC3339))
	return nil
}

// noteKept says that a token was not used, to whoever brought one.
func (c *cli) noteKept(cert *tls.Certificate, o *enrollFlags) {
	if o.token == "" && o.tokenFile == "" {
		return
	}
	state := "a certificate is there already"
	if time.Now().After(cert.Leaf.NotAfter) {
		state = "an expired certificate is there already"
	}
	fmt.Fprintf(c.err, "%s, and the token was not used: to enrol anew, remove %q first, and %q for another key\n", state, o.cert, o.key)
}

// trust makes the client believe the authority whose fingerprint was given, and
// writes its root for run.
func (o *enrollFlags) trust(ctx context.Context, client *enroll.Client, token string) error {
	t, err := enroll.ParseToken(token)
	if err != nil {
		return err
	}
	if client.URL == "" {
		client.URL = t.URL
	}
	if o.fingerprint == "" {
		o.fingerprint = t.Fingerprint
	}
	if client.URL == "" || o.fingerprint == "" {
		return usagef("the token names no authority and fingerprint: give --ca-url and --fingerprint")
	}
	root, err := client.Root(ctx, o.fingerprint)
	if err != nil {
		return err
	}
	client.Roots = mtls.Pool(root)
	return mtls.WriteFile(o.roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}))
}

func (o *enrollFlags) readToken(stdin io.Reader) (string, error) {
	switch {
	case (o.token == "") == (o.tokenFile == ""):
		return "", usagef("give --token or --token-file")
	case o.token != "":
		return o.token, nil
	}
	in := stdin
	if o.tokenFile != "-" {
		f, err := os.Open(o.tokenFile)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, 16<<10))
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return "", fmt.Errorf("--token-file %q holds no token", o.tokenFile)
	}
	return strings.TrimSpace(string(data)), nil
}
