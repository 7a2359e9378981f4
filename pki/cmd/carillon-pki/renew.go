package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"flag"
	"fmt"
	"log/slog"
	"os/exec"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
)

func (c *cli) renewCommand() *ffcli.Command {
	var o renewFlags
	return c.command(command{
		name: "renew", short: "Renews a certificate, once or for ever.",
		help: `Obtains a certificate with the same contents and a new period, and replaces the file
in one step. With --watch it stays and renews in time, at two thirds of the life,
for programs that cannot do it themselves; --after then tells them.

EXAMPLE
  carillon-pki renew --url https://pki.example.com:9000 --root root.crt --cert mq.crt --key mq.key
  carillon-pki renew --watch --after "pkill -HUP -x mosquitto" ...`,
		flags: o.define,
		exec:  func(ctx context.Context, args []string) error { return c.renew(ctx, &o, args) },
	})
}

type renewFlags struct {
	pair
	url, root, after string
	watch            bool
}

func (o *renewFlags) define(fs *flag.FlagSet) {
	o.pair.define(fs)
	fs.StringVar(&o.url, "url", "", "`address` of the authority, https://host:port")
	fs.StringVar(&o.root, "root", "", "`file` of the authority's root certificate")
	fs.BoolVar(&o.watch, "watch", false, "stay, and renew whenever it is time")
	fs.StringVar(&o.after, "after", "", "shell `command` to run after each renewal")
}

func (c *cli) renew(ctx context.Context, o *renewFlags, args []string) error {
	if len(args) > 0 {
		return usagef("renew takes no argument, found %q", args[0])
	}
	files, err := o.files()
	if err != nil {
		return err
	}
	if o.url == "" || o.root == "" {
		return usagef("--url and --root are both needed")
	}
	roots, err := mtls.ReadCertificates(o.root)
	if err != nil {
		return fmt.Errorf("--root: %w", err)
	}
	client := &enroll.Client{URL: o.url, Roots: mtls.Pool(roots...)}
	log := slog.New(slog.NewTextHandler(c.err, nil))
	if o.watch {
		r := &enroll.Renewer{Client: client, Certificate: files.Certificate, Store: files.Store, Logger: log}
		r.Renewed = func([]*x509.Certificate) { c.runAfter(ctx, log, o.after) }
		return r.Run(ctx)
	}
	if err := renewOnce(ctx, client, files); err != nil {
		return err
	}
	c.runAfter(ctx, log, o.after)
	cert, err := files.Load()
	if err != nil {
		return err
	}
	return c.describe(cert)
}

func renewOnce(ctx context.Context, client *enroll.Client, files *mtls.Files) error {
	cert, err := files.Load()
	if err != nil {
		return err
	}
	chain, err := mtls.ReadCertificates(files.CertFile)
	if err != nil {
		return err
	}
	renewed, err := client.Renew(ctx, chain, cert.PrivateKey.(crypto.Signer))
	if err != nil {
		return err
	}
	return files.Store(nil, renewed)
}

// runAfter tells another program about a renewal. That it fails is no reason to
// renew again.
func (c *cli) runAfter(ctx context.Context, log *slog.Logger, shell string) {
	if shell == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", shell)
	cmd.Stdout, cmd.Stderr = c.err, c.err
	if err := cmd.Run(); err != nil {
		log.Error("the command after the renewal failed", "command", shell, "error", err)
	}
}
