package main

import (
	"context"
	"flag"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/peterbourgon/ff/v3/ffcli"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/agent/api"
)

// place are the flags that say where the device's files are.
type place struct {
	dir, cert, key, roots string
}

func (p *place) define(fs *flag.FlagSet) {
	fs.StringVar(&p.dir, "dir", "/var/lib/carillon-agent", "`directory` of the agent's files")
	fs.StringVar(&p.cert, "cert", "", "`file` of the device's certificate chain (default device.crt in --dir)")
	fs.StringVar(&p.key, "key", "", "`file` of its key (default device.key in --dir)")
	fs.StringVar(&p.roots, "roots", "", "`file` of the fleet's root certificates (default roots.crt in --dir)")
}

// fill puts in what was not said.
func (p *place) fill() {
	for _, f := range []struct {
		name *string
		file string
	}{{&p.cert, "device.crt"}, {&p.key, "device.key"}, {&p.roots, "roots.crt"}} {
		if *f.name == "" {
			*f.name = filepath.Join(p.dir, f.file)
		}
	}
}

type runFlags struct {
	place
	broker, brokerName, caURL string
	settingsURL, settingsRoot string
	device, vehicle, guest    string
	socket, allow             string
	logLevel                  string
	logJSON                   bool
}

func (o *runFlags) define(fs *flag.FlagSet) {
	o.place.define(fs)
	fs.StringVar(&o.broker, "broker", "", "`host:port` of the MQTT broker; required")
	fs.StringVar(&o.brokerName, "broker-name", "", "name in the broker's certificate (default the host of --broker)")
	fs.StringVar(&o.caURL, "ca-url", "", "`URL` of the authority, to renew the certificate; none: it is renewed otherwise")
	fs.StringVar(&o.settingsURL, "settings-url", "", "`URL` of the settings API; none: no settings are fetched")
	fs.StringVar(&o.settingsRoot, "settings-roots", "", "`file` of the roots that verify it (default --roots)")
	fs.StringVar(&o.device, "device", "car", "what stands in front of the person: car, till, kiosk, desk, call or thing")
	fs.StringVar(&o.vehicle, "vehicle", "none", "what settings are applied to: none, or memory, a vehicle that only exists in memory")
	fs.StringVar(&o.guest, "guest", "", "JSON `file` of paths and values for a seat on which nobody is signed in")
	fs.StringVar(&o.socket, "socket", defaultSocket, "unix `socket` for local callers; none if empty")
	fs.StringVar(&o.allow, "allow-uid", "", "user `ids` that may call, separated by commas (default the agent's own and 0)")
	fs.StringVar(&o.logLevel, "log-level", "info", "least `level` of what is logged: debug, info, warn or error")
	fs.BoolVar(&o.logJSON, "log-json", false, "log JSON, one object a line")
}

func (c *cli) runCommand() *ffcli.Command {
	var o runFlags
	return c.command(command{
		name: "run", short: "Is the daemon.",
		help: `Connects to the broker and signs in whom local callers ask for. It needs the
certificate that enroll obtained. Everything it must not lose is in --dir; it may
be killed at any time. It logs to standard error.

EXAMPLE
  carillon-agent run --broker mq.example.com:8883 --ca-url https://pki.example.com:9000`,
		flags: o.define,
		exec:  func(ctx context.Context, _ []string) error { return c.daemon(ctx, &o) },
	})
}

// daemon is the agent with all its parts.
func (c *cli) daemon(ctx context.Context, o *runFlags) error {
	o.fill()
	log, err := c.logger(o)
	if err != nil {
		return err
	}
	d, err := newDaemon(o, log)
	if err != nil {
		return err
	}
	defer d.store.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.agent.Run(ctx) })
	group.Go(func() error { return d.link.Run(ctx) })
	if d.renewer != nil {
		group.Go(func() error { return d.renewer.Run(ctx) })
	}
	if o.socket != "" {
		listener, err := api.Listen(o.socket)
		if err != nil {
			return err
		}
		group.Go(func() error { return d.api.Serve(ctx, listener) })
	}
	log.Info("running", "device", d.agent.Device(), "broker", o.broker, "socket", o.socket, "version", version())
	return group.Wait()
}

func parseUIDs(list string) (uids []int, err error) {
	if list == "" {
		return nil, nil
	}
	for s := range strings.SplitSeq(list, ",") {
		uid, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || uid < 0 {
			return nil, usagef("--allow-uid: %q is no user id", s)
		}
		uids = append(uids, uid)
	}
	return uids, nil
}

func (c *cli) logger(o *runFlags) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, usagef("--log-level is %q, want debug, info, warn or error", o.logLevel)
	}
	opts := &slog.HandlerOptions{Level: level}
	if o.logJSON {
		return slog.New(slog.NewJSONHandler(c.err, opts)), nil
	}
	return slog.New(slog.NewTextHandler(c.err, opts)), nil
}
