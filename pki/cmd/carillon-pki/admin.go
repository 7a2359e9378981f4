package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/big"
	"strings"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// administration is an authority that takes orders: the running one through its
// socket, or the one in the directory.
type administration interface {
	List(ctx context.Context, f pki.Filter) ([]pki.Holder, error)
	Revoke(ctx context.Context, id mtls.Identity, reason pki.Reason, note string) ([]string, error)
	RevokeSerial(ctx context.Context, serial *big.Int, reason pki.Reason, note string) ([]string, error)
	Reinstate(ctx context.Context, id mtls.Identity, sameKeys bool) error
	Close() error
}

// administer finds the authority. Running reports whether it is being served.
func administer(ctx context.Context, d *directory) (_ administration, running bool, err error) {
	remote, err := pki.Connect(ctx, d.dir)
	if err == nil {
		return remote, true, nil
	}
	if !errors.Is(err, pki.ErrNotRunning) {
		return nil, false, err
	}
	password, perr := d.password()
	if perr != nil {
		return nil, false, perr
	}
	a, oerr := pki.Open(pki.Config{Dir: d.dir, Password: password, Logger: slog.New(slog.DiscardHandler)})
	if errors.Is(oerr, pki.ErrInUse) {
		return nil, false, fmt.Errorf("%w, which does not answer on its socket (%v); stop it, or wait if another command is at work", oerr, err)
	}
	if oerr != nil {
		return nil, false, oerr
	}
	return a, false, nil
}

// laterNote says what an order to an authority that is not running does not do.
const laterNote = "the authority is not running: nobody learns of this before it serves again"

func (c *cli) revokeCommand() *ffcli.Command {
	var o revokeFlags
	return c.command(command{
		name: "revoke", args: "ROLE ID | --serial NUMBER", short: "Revokes a holder, or one certificate and its key.",
		help: `Revoking a holder takes all of its certificates and refuses it new ones, by
renewal or with a token, until it is reinstated. Revoking a serial number takes that
certificate and every one that it was renewed into; with the reason superseded, that
one alone. It works on the running authority and, if none is running, on the
directory. Brokers and bridges learn of it when they next fetch the list, within a
minute unless they are configured otherwise.

EXAMPLE
  carillon-pki revoke --dir pki device x7q2mplk4wtzn3ua --note "police report 4711"
  carillon-pki revoke --dir pki --serial 2874632984623498 --reason superseded`,
		flags: o.define,
		exec:  func(ctx context.Context, args []string) error { return c.revoke(ctx, &o, args) },
	})
}

type revokeFlags struct {
	directory
	serial, reason, note string
	json                 bool
}

func (o *revokeFlags) define(fs *flag.FlagSet) {
	o.directory.define(fs)
	fs.StringVar(&o.serial, "serial", "", "revoke the certificate with this serial `number`, decimal or 0x and hex")
	fs.StringVar(&o.reason, "reason", "unspecified", "unspecified, key-compromise, superseded, cessation or privilege-withdrawn")
	fs.StringVar(&o.note, "note", "", "why, for the list")
	fs.BoolVar(&o.json, "json", false, "print JSON")
}

func (c *cli) revoke(ctx context.Context, o *revokeFlags, args []string) (err error) {
	order, err := o.order(args)
	if err != nil {
		return err
	}
	admin, running, err := administer(ctx, &o.directory)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	serials, err := order(ctx, admin)
	if err != nil {
		return err
	}
	if !running {
		fmt.Fprintln(c.err, laterNote)
	}
	if o.json {
		return c.json(map[string]any{"revoked": append([]string{}, serials...), "running": running})
	}
	if len(serials) == 0 {
		_, err = fmt.Fprintln(c.out, "revoked; there was no certificate left to revoke")
		return err
	}
	_, err = fmt.Fprintf(c.out, "revoked certificates: %s\n", strings.Join(serials, " "))
	return err
}

// order decides which of the two ways to revoke was asked for.
func (o *revokeFlags) order(args []string) (func(context.Context, administration) ([]string, error), error) {
	why, err := pki.ParseReason(o.reason)
	if err != nil {
		return nil, usagef("--reason: %w", err)
	}
	if o.serial == "" {
		id, err := identityArgs("revoke", args, false)
		return func(ctx context.Context, a administration) ([]string, error) { return a.Revoke(ctx, id, why, o.note) }, err
	}
	if len(args) > 0 {
		return nil, usagef("revoke takes a role and an id, or --serial, not both")
	}
	n, ok := new(big.Int).SetString(o.serial, 0)
	if !ok {
		return nil, usagef("--serial %q is not a number, want decimal or 0x and hex", o.serial)
	}
	return func(ctx context.Context, a administration) ([]string, error) {
		return a.RevokeSerial(ctx, n, why, o.note)
	}, nil
}

func (c *cli) reinstateCommand() *ffcli.Command {
	var d directory
	var sameKey bool
	return c.command(command{
		name: "reinstate", args: "ROLE ID", short: "Lets a revoked holder enrol again.",
		help: `Certificates and keys that were revoked stay revoked; the holder enrols again with
a new token and a new key. With --same-key it may enrol with the key that it had:
when it was revoked by mistake, or cannot make another.

EXAMPLE
  carillon-pki reinstate --dir pki device x7q2mplk4wtzn3ua
  carillon-pki token --dir pki device x7q2mplk4wtzn3ua`,
		flags: func(fs *flag.FlagSet) {
			d.define(fs)
			fs.BoolVar(&sameKey, "same-key", false, "the holder may enrol with a key that it had")
		},
		exec: func(ctx context.Context, args []string) (err error) {
			id, err := identityArgs("reinstate", args, false)
			if err != nil {
				return err
			}
			admin, _, err := administer(ctx, &d)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, admin.Close()) }()
			if err := admin.Reinstate(ctx, id, sameKey); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.out, "%s may enrol again\n", id)
			return err
		},
	})
}
