package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
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

// pair are the flags that name a certificate and its key.
type pair struct{ cert, key string }

func (p *pair) define(fs *flag.FlagSet) {
	fs.StringVar(&p.cert, "cert", "", "`file` of the certificate chain, leaf first")
	fs.StringVar(&p.key, "key", "", "`file` of the private key; it may be the same as --cert")
}

func (p *pair) files() (*mtls.Files, error) {
	if p.cert == "" || p.key == "" {
		return nil, usagef("--cert and --key are both needed")
	}
	return &mtls.Files{CertFile: p.cert, KeyFile: p.key}, nil
}

func writePEM(w io.Writer, kind string, der []byte) error {
	return pem.Encode(w, &pem.Block{Type: kind, Bytes: der})
}

func (c *cli) enrollCommand() *ffcli.Command {
	var o enrollFlags
	return c.command(command{
		name: "enroll", short: "Obtains a certificate with a token.",
		help: `Makes a key, unless there is one, and obtains a certificate for it. The token names
the authority and the fingerprint of its root, so nothing else is needed. Run
again, it does nothing if the certificate is there.

EXAMPLE
  carillon-pki enroll --token-file token --cert device.crt --key device.key --root root.crt
  ssh ops carillon-pki token device | carillon-pki enroll --token-file - --cert d.pem --key d.pem`,
		flags: o.define,
		exec:  func(ctx context.Context, args []string) error { return c.enroll(ctx, &o, args) },
	})
}

type enrollFlags struct {
	pair
	token, tokenFile, csr, root string
}

func (o *enrollFlags) define(fs *flag.FlagSet) {
	o.pair.define(fs)
	fs.StringVar(&o.token, "token", "", "the token; anybody on this machine can read it while the command runs")
	fs.StringVar(&o.tokenFile, "token-file", "", "`file` with the token, - for standard input")
	fs.StringVar(&o.csr, "csr", "", "`file` with the certificate request that the token is bound to")
	fs.StringVar(&o.root, "root", "", "`file` to write the root certificate to")
}

func (c *cli) enroll(ctx context.Context, o *enrollFlags, args []string) error {
	if len(args) > 0 {
		return usagef("enroll takes no argument, found %q", args[0])
	}
	files, err := o.files()
	if err != nil {
		return err
	}
	if cert, err := files.Load(); err == nil {
		c.noteKept(cert, o)
		return c.describe(cert)
	}
	token := o.token
	if o.tokenFile != "" {
		if token, err = c.readToken(o.tokenFile); err != nil {
			return err
		}
	}
	if token == "" {
		return usagef("there is no certificate yet, and no token: --token-file is missing")
	}
	cert, err := enrol(ctx, files, token, o.csr, o.root)
	if err != nil {
		return err
	}
	return c.describe(cert)
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

func (c *cli) readToken(name string) (string, error) {
	in := c.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, 64<<10))
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// enrol fetches the root, then the certificate, and stores both.
func enrol(ctx context.Context, files *mtls.Files, token, csr, rootFile string) (*tls.Certificate, error) {
	t, err := enroll.ParseToken(token)
	if err != nil {
		return nil, err
	}
	client, err := enroll.FromToken(ctx, token)
	if err != nil {
		return nil, err
	}
	if rootFile != "" {
		root, err := client.Root(ctx, t.Fingerprint)
		if err != nil {
			return nil, err
		}
		var text bytes.Buffer
		if err := errors.Join(writePEM(&text, "CERTIFICATE", root.Raw), mtls.WriteFile(rootFile, text.Bytes())); err != nil {
			return nil, err
		}
	}
	if csr == "" {
		return client.Provision(ctx, files, token)
	}
	request, err := readRequest(csr)
	if err != nil {
		return nil, err
	}
	chain, err := client.EnrollRequest(ctx, token, request)
	if err != nil {
		return nil, err
	}
	if err := files.Store(nil, chain); err != nil {
		return nil, err
	}
	return files.Load()
}

func (c *cli) describe(cert *tls.Certificate) error {
	id, err := mtls.IdentityOf(cert.Leaf)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s until %s, serial %s\n", id, cert.Leaf.NotAfter.UTC().Format(time.DateTime), cert.Leaf.SerialNumber)
	return err
}

func (c *cli) requestCommand() *ffcli.Command {
	var key, out, names string
	return c.command(command{
		name: "request", args: "ROLE ID", short: "Makes a certificate request that a token can be bound to.",
		help: `Makes a key, unless there is one, and a certificate request for it. Carry the request
to the authority, where a token is bound to it, and the token back: on its way it
is of no use to anybody else.

EXAMPLE
  device$     carillon-pki request device x7q2mplk4wtzn3ua --key device.key --out device.csr
  authority$  carillon-pki token device x7q2mplk4wtzn3ua --csr device.csr > token
  device$     carillon-pki enroll --csr device.csr --token-file token --cert device.crt --key device.key`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&key, "key", "", "`file` of the private key")
			fs.StringVar(&out, "out", "", "`file` to write the request to")
			fs.StringVar(&names, "names", "", "DNS `names` and addresses of a broker or a server, with commas")
		},
		exec: func(_ context.Context, args []string) error {
			id, err := identityArgs("request", args, true)
			if err != nil {
				return err
			}
			if key == "" || out == "" {
				return usagef("--key and --out are both needed")
			}
			signer, err := enroll.KeyFor(&mtls.Files{CertFile: key, KeyFile: key})
			if err != nil {
				return err
			}
			der, err := enroll.NewRequest(id, split(names), signer)
			if err != nil {
				return err
			}
			var text bytes.Buffer
			if err := errors.Join(writePEM(&text, "CERTIFICATE REQUEST", der), mtls.WriteFile(out, text.Bytes())); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.out, "request for %s in %s\n", id, out)
			return err
		},
	})
}
