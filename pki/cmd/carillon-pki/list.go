package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/mtls"
)

func (c *cli) listCommand() *ffcli.Command {
	var d directory
	var asJSON bool
	return c.command(command{
		name: "list", args: "[ROLE [ID]]", short: "Lists holders and their certificates.",
		help: `Lists who holds certificates, until when, and who has been revoked. It asks the
authority that is running from the directory, or reads the directory.

EXAMPLE
  carillon-pki list --dir pki
  carillon-pki list --dir pki device --json | jq -r '.[] | select(.revoked) | .identity'`,
		flags: func(fs *flag.FlagSet) {
			d.define(fs)
			fs.BoolVar(&asJSON, "json", false, "print JSON")
		},
		exec: func(ctx context.Context, args []string) (err error) {
			f, err := filterArgs(args)
			if err != nil {
				return err
			}
			admin, _, err := administer(ctx, &d)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, admin.Close()) }()
			holders, err := admin.List(ctx, f)
			if err != nil {
				return err
			}
			if asJSON {
				return c.json(append([]pki.Holder{}, holders...)) // [] and not null
			}
			return printHolders(c.out, holders, time.Now())
		},
	})
}

func filterArgs(args []string) (pki.Filter, error) {
	switch len(args) {
	case 0:
		return pki.Filter{}, nil
	case 1:
		role, err := mtls.ParseRole(args[0])
		if err != nil {
			return pki.Filter{}, usageError{err}
		}
		return pki.Filter{Role: role}, nil
	default:
		id, err := identityArgs("list", args, false)
		return pki.Filter{Role: id.Role, ID: id.ID}, err
	}
}

func printHolders(out io.Writer, holders []pki.Holder, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROLE\tID\tSTATE\tUNTIL\tSERIAL")
	for _, h := range holders {
		id, err := mtls.ParseIdentity(h.Identity)
		if err != nil {
			return err
		}
		if len(h.Certificates) == 0 {
			fmt.Fprintf(w, "%s\t%s\t%s\t-\t-\n", id.Role, id.ID, state(h, pki.Certificate{NotAfter: now.Add(1)}, now))
		}
		for _, cert := range h.Certificates {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", id.Role, id.ID, state(h, cert, now), cert.NotAfter.UTC().Format(time.DateTime), cert.Serial)
		}
	}
	return w.Flush()
}

func state(h pki.Holder, c pki.Certificate, now time.Time) string {
	switch {
	case h.Revoked != nil && h.Note != "":
		return fmt.Sprintf("revoked (%s)", h.Note)
	case h.Revoked != nil || c.Revoked:
		return "revoked"
	case now.After(c.NotAfter):
		return "expired"
	default:
		return "good"
	}
}
