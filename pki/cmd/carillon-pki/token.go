package main

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/mtls"
)

func (c *cli) tokenCommand() *ffcli.Command {
	var o tokenFlags
	return c.command(command{
		name: "token", args: "ROLE [ID]", short: "Makes a one-time token that enrols a device, bridge, broker or server.",
		help: `Prints a token. Whoever has it can obtain one certificate for this role and id,
so treat it as a password; bound to a certificate request, it is of use to nobody
but the holder of the key. A device without an id gets a new, random one.

The token is a signed statement: the authority need not be running to make it, and
may be running. It signs with tokens/ROLE.key in the directory, and a directory
without the keys of the other roles serves as well.

EXAMPLE
  carillon-pki token --dir pki device                     a new device
  carillon-pki token --dir pki device x7q2mplk4wtzn3ua    one that is known
  carillon-pki token --dir pki device x7q2mplk4wtzn3ua --csr device.csr
  carillon-pki token --dir pki broker mq --names mq.example.com,192.0.2.7 --ttl 10m`,
		flags: o.define,
		exec:  func(_ context.Context, args []string) error { return c.token(&o, args) },
	})
}

type tokenFlags struct {
	directory
	ttl        time.Duration
	names, csr string
	json       bool
}

func (o *tokenFlags) define(fs *flag.FlagSet) {
	o.directory.define(fs)
	durationVar(fs, &o.ttl, "ttl", time.Hour, "how long the token can be used, at most 30 days")
	fs.StringVar(&o.names, "names", "", "DNS `names` and addresses of a broker or a server, with commas")
	fs.StringVar(&o.csr, "csr", "", "`file` with the certificate request that the token is bound to; see the command request")
	fs.BoolVar(&o.json, "json", false, "print JSON")
}

func (c *cli) token(o *tokenFlags, args []string) error {
	id, err := identityArgs("token", args, true)
	if err != nil {
		return err
	}
	password, err := o.password()
	if err != nil {
		return err
	}
	opts := pki.TokenOptions{TTL: o.ttl, Names: split(o.names)}
	if o.csr != "" {
		if opts.CSR, err = readRequest(o.csr); err != nil {
			return err
		}
	}
	tokens, err := pki.OpenTokens(o.dir, password)
	if err != nil {
		return err
	}
	token, err := tokens.Token(id, opts)
	if err != nil {
		return err
	}
	if o.json {
		expires := time.Now().Add(o.ttl).UTC().Truncate(time.Second)
		return c.json(map[string]any{"identity": id.String(), "id": id.ID, "token": token, "expires": expires})
	}
	fmt.Fprintf(c.err, "enrols %s within %v\n", id, o.ttl)
	_, err = fmt.Fprintln(c.out, token)
	return err
}

// identityArgs reads ROLE ID. Only the id of a device may be left out, where
// that makes a new one.
func identityArgs(cmd string, args []string, mayBeNew bool) (mtls.Identity, error) {
	if len(args) == 0 || len(args) > 2 {
		return mtls.Identity{}, usagef("%s takes a role and an id, found %d arguments", cmd, len(args))
	}
	role, err := mtls.ParseRole(args[0])
	if err != nil {
		return mtls.Identity{}, usageError{err}
	}
	id := mtls.Identity{Role: role}
	switch {
	case len(args) == 2:
		id.ID = args[1]
	case mayBeNew && role == mtls.RoleDevice:
		id.ID = newDeviceID()
	default:
		return mtls.Identity{}, usagef("%s takes the id of the %s too", cmd, role)
	}
	if err := id.Validate(); err != nil {
		return mtls.Identity{}, usageError{err}
	}
	return id, nil
}

// newDeviceID is 80 random bits: it says nothing about the device, and never a
// vehicle identification number.
func newDeviceID() string {
	b := make([]byte, 10)
	_, _ = rand.Read(b) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

func readRequest(name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--csr: %w", err)
	}
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "CERTIFICATE REQUEST" {
			return nil, fmt.Errorf("--csr: %q holds a %q, want a certificate request", name, block.Type)
		}
		data = block.Bytes
	}
	return data, nil
}
