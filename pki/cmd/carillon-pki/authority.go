package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/mtls"
)

const defaultDir = "/var/lib/carillon/pki"

// directory are the flags that find an authority on this machine.
type directory struct {
	dir, passwordFile string
}

func (d *directory) define(fs *flag.FlagSet) {
	fs.StringVar(&d.dir, "dir", defaultDir, "the authority's `directory`")
	fs.StringVar(&d.passwordFile, "password-file", "", "`file` with the password of the private keys; none if they are not encrypted")
}

func (d *directory) password() ([]byte, error) {
	if d.passwordFile == "" {
		return nil, nil
	}
	data, err := os.ReadFile(d.passwordFile)
	if err != nil {
		return nil, fmt.Errorf("--password-file: %w", err)
	}
	data = bytes.TrimRight(data, "\r\n")
	if len(data) == 0 {
		return nil, fmt.Errorf("--password-file: %q is empty", d.passwordFile)
	}
	return data, nil
}

// creation are the flags that say how a new authority is made.
type creation struct {
	url, name, hosts  string
	rootCert, rootKey string
	deviceLifetime    time.Duration
}

func (n *creation) define(fs *flag.FlagSet) {
	fs.StringVar(&n.url, "url", "", "`address` at which devices reach the authority, https://host:port; it is in every token")
	fs.StringVar(&n.name, "name", "Carillon", "what its certificates call the authority")
	fs.StringVar(&n.hosts, "hosts", "", "further DNS `names` and addresses of the authority, with commas; localhost and its addresses if empty")
	durationVar(fs, &n.deviceLifetime, "device-lifetime", 60*24*time.Hour, "how long a device's certificate lives; it is renewed after two thirds")
	fs.StringVar(&n.rootCert, "root-cert", "", "`file` with an existing root that is to sign the intermediate")
	fs.StringVar(&n.rootKey, "root-key", "", "`file` with the key of --root-cert; it is not copied")
}

func (n *creation) options(password []byte) (*pki.Options, error) {
	if n.url == "" {
		return nil, usagef("--url is missing: the address at which devices reach the authority, such as https://pki.example.com:9000")
	}
	opts := &pki.Options{
		URL: n.url, Name: n.name, Hosts: split(n.hosts), Password: password,
		Profiles: map[mtls.Role]pki.Profile{mtls.RoleDevice: {Lifetime: n.deviceLifetime}},
	}
	if (n.rootCert == "") != (n.rootKey == "") {
		return nil, usagef("--root-cert and --root-key go together")
	}
	if n.rootCert == "" {
		return opts, nil
	}
	var err error
	if opts.Root, opts.RootKey, err = readRoot(n.rootCert, n.rootKey); err != nil {
		return nil, err
	}
	return opts, nil
}

func readRoot(certFile, keyFile string) (*x509.Certificate, crypto.Signer, error) {
	cert, err := (&mtls.Files{CertFile: certFile, KeyFile: keyFile}).Load()
	if err != nil {
		return nil, nil, err
	}
	return cert.Leaf, cert.PrivateKey.(crypto.Signer), nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func (c *cli) initCommand() *ffcli.Command {
	var d directory
	var n creation
	var asJSON bool
	return c.command(command{
		name: "init", short: "Makes a new authority in an empty directory.",
		help: `Makes a root, an intermediate that signs everything, and one key for each role
that signs tokens. Prints the root's fingerprint, by which the authority is known.

Without --password-file the keys are files with mode 0600 in a directory with
mode 0700; with it they are encrypted as well, and serve and token need it again.
Move root.key to a safe afterwards: it is needed in ten years.

EXAMPLE
  carillon-pki init --dir pki --url https://pki.example.com:9000 --hosts pki.internal`,
		flags: func(fs *flag.FlagSet) {
			d.define(fs)
			n.define(fs)
			fs.BoolVar(&asJSON, "json", false, "print JSON")
		},
		exec: func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return usagef("init takes no argument, found %q", args[0])
			}
			return c.init(&d, &n, asJSON)
		},
	})
}

func (c *cli) init(d *directory, n *creation, asJSON bool) error {
	password, err := d.password()
	if err != nil {
		return err
	}
	opts, err := n.options(password)
	if err != nil {
		return err
	}
	if err := pki.Init(d.dir, *opts); err != nil {
		return err
	}
	root, err := pki.ReadRoot(d.dir)
	if err != nil {
		return err
	}
	if asJSON {
		return c.json(map[string]string{"dir": d.dir, "url": n.url, "fingerprint": pki.Fingerprint(root)})
	}
	_, err = fmt.Fprintf(c.out, "authority in %s\nfingerprint %s\nnext: carillon-pki serve --dir %s\n", d.dir, pki.Fingerprint(root), d.dir)
	return err
}

func (c *cli) rootCommand() *ffcli.Command {
	var d directory
	var fingerprint bool
	return c.command(command{
		name: "root", short: "Prints the root certificate, which everybody trusts.",
		help: `Prints the root certificate in PEM, or its fingerprint alone.

EXAMPLE
  carillon-pki root --dir pki > root.crt
  carillon-pki root --dir pki --fingerprint`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&d.dir, "dir", defaultDir, "the authority's `directory`")
			fs.BoolVar(&fingerprint, "fingerprint", false, "print the SHA-256 of the certificate instead")
		},
		exec: func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return usagef("root takes no argument, found %q", args[0])
			}
			root, err := pki.ReadRoot(d.dir)
			if err != nil {
				return err
			}
			if fingerprint {
				_, err = fmt.Fprintln(c.out, pki.Fingerprint(root))
				return err
			}
			return writePEM(c.out, "CERTIFICATE", root.Raw)
		},
	})
}

func (c *cli) serveCommand() *ffcli.Command {
	var o serveFlags
	return c.command(command{
		name: "serve", short: "Serves the authority over HTTPS.",
		help: `Serves enrolment, renewal, revocation and the revocation list until it is
stopped; calls that have begun are finished. Log lines go to standard error.

With --init, an authority is made first if there is none, with the flags of the
command init. Without it, a wrong --dir is an error and not a new authority.

EXAMPLE
  carillon-pki serve --dir pki --listen :9000
  carillon-pki serve --dir /data --init --url https://pki.example.com:9000`,
		flags: o.define,
		exec: func(ctx context.Context, args []string) error {
			if len(args) > 0 {
				return usagef("serve takes no argument, found %q", args[0])
			}
			cfg, err := o.config(c)
			if err != nil {
				return err
			}
			return serve(ctx, cfg, o.listen)
		},
	})
}

type serveFlags struct {
	directory
	creation
	listen        string
	init, logJSON bool
}

func (o *serveFlags) define(fs *flag.FlagSet) {
	o.directory.define(fs)
	o.creation.define(fs)
	fs.StringVar(&o.listen, "listen", ":9000", "`address` to listen on")
	fs.BoolVar(&o.init, "init", false, "make the authority first if there is none")
	fs.BoolVar(&o.logJSON, "log-json", false, "write log lines in JSON")
}

func (o *serveFlags) config(c *cli) (cfg pki.Config, err error) {
	cfg = pki.Config{Dir: o.dir, Logger: slog.New(slog.NewTextHandler(c.err, nil))}
	if o.logJSON {
		cfg.Logger = slog.New(slog.NewJSONHandler(c.err, nil))
	}
	if cfg.Password, err = o.password(); err != nil {
		return cfg, err
	}
	if o.init {
		cfg.Create, err = o.options(cfg.Password)
		return cfg, err
	}
	cfg.URL = o.url
	return cfg, nil
}

// serve opens the authority first: a second one would otherwise take over the
// port, or the socket, before it finds out.
func serve(ctx context.Context, cfg pki.Config, listen string) (err error) {
	a, err := pki.Open(cfg)
	if errors.Is(err, pki.ErrNoAuthority) {
		return fmt.Errorf("%w; carillon-pki init makes one, or serve --init", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Run(ctx, listener) })
	group.Go(func() error { return a.RunAdmin(ctx, cfg.Dir) })
	return group.Wait()
}
