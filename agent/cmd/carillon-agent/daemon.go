package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/api"
	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// parts are the daemon's.
type parts struct {
	agent   *agent.Agent
	link    *link.Link
	api     *api.Server
	store   *outbox.Dir
	renewer *enroll.Renewer // nil if the certificate is renewed otherwise
}

func newDaemon(o *runFlags, log *slog.Logger) (*parts, error) {
	if err := o.checkAddresses(); err != nil {
		return nil, err
	}
	roots, err := mtls.ReadCertificates(o.roots)
	if err != nil {
		return nil, fmt.Errorf("%w (carillon-agent enroll writes it)", err)
	}
	files := &mtls.Files{CertFile: o.cert, KeyFile: o.key, Logger: log}
	store, err := outbox.Open(filepath.Join(o.dir, "outbox"), log)
	if err != nil {
		return nil, err
	}
	d := &parts{store: store}
	if err := d.assemble(o, files, roots, log); err != nil {
		store.Close()
		return nil, err
	}
	return d, nil
}

// checkAddresses refuses what nobody could be reached at, and fills in the
// broker's name.
func (o *runFlags) checkAddresses() error {
	host, port, err := net.SplitHostPort(o.broker)
	if err != nil || host == "" || !isPort(port) {
		return usagef("--broker is %q, want host:port, with a port from 1 to 65535", o.broker)
	}
	if o.brokerName == "" {
		o.brokerName = host
	}
	if err := (&enroll.Client{URL: o.caURL}).CheckURL(); o.caURL != "" && err != nil {
		return usagef("--ca-url: %w", err)
	}
	return nil
}

// isPort reports whether text is a port in decimal; names of services are not.
func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// assemble makes the parts and ties them together.
func (d *parts) assemble(o *runFlags, files *mtls.Files, roots []*x509.Certificate, log *slog.Logger) (err error) {
	cfg := agent.Config{
		Certificate: files.Certificate, Roots: mtls.Pool(roots...), Store: d.store, Logger: log,
		// The link is made below, and its callbacks run when all is there.
		Publisher: publisher(func(ctx context.Context, topic string, p []byte) error { return d.link.Publish(ctx, topic, p) }),
		Hurry:     func() { d.link.Wake() },
	}
	if err := o.equip(&cfg, d, roots); err != nil {
		return err
	}
	if d.agent, err = agent.New(cfg); err != nil {
		return err
	}
	tlsCfg := mtls.ClientConfig(cfg.Roots, files.Certificate, o.brokerName)
	dial := &redialer{dial: link.TLSDialer(o.broker, mtls.RequireRole(mtls.TolerateClock(tlsCfg, d.agent.Now), mtls.RoleBroker))}
	d.link, err = link.New(link.Config{
		Dial: dial.Dial, ClientID: string(d.agent.Device()), Subscribe: []string{d.agent.DownTopic()},
		Handler: d.agent.Handle, OnUp: d.agent.Connected, OnDown: d.agent.Disconnected, Logger: log,
	})
	if err != nil {
		return err
	}
	if o.caURL != "" {
		d.renewer = &enroll.Renewer{
			Client:      &enroll.Client{URL: o.caURL, Roots: cfg.Roots, Clock: d.agent.Time},
			Certificate: files.Certificate, Store: files.Store, Logger: log,
			Renewed: func([]*x509.Certificate) { dial.Again() },
		}
	}
	uids, err := parseUIDs(o.allow)
	if err != nil {
		return err
	}
	d.api, err = api.New(api.Config{Agent: d.agent, UIDs: uids, Logger: log})
	return err
}

// equip gives the agent its device, vehicle and settings.
func (o *runFlags) equip(cfg *agent.Config, d *parts, roots []*x509.Certificate) (err error) {
	if cfg.Device, err = schemas.ParseDeviceKind(o.device); err != nil {
		return usagef("--device: %w", err)
	}
	switch o.vehicle {
	case "none":
	case "memory":
		cfg.Vehicle = vehicle.NewMemory(nil)
	default:
		return usagef("--vehicle is %q, want none or memory", o.vehicle)
	}
	if o.guest != "" {
		data, err := os.ReadFile(o.guest)
		if err != nil {
			return fmt.Errorf("--guest: %w", err)
		}
		if cfg.Guest, err = settings.ParseValues(data); err != nil {
			return fmt.Errorf("--guest %q: %w", o.guest, err)
		}
	}
	if o.settingsURL == "" {
		return nil
	}
	if o.settingsRoot != "" {
		if roots, err = mtls.ReadCertificates(o.settingsRoot); err != nil {
			return fmt.Errorf("--settings-roots: %w", err)
		}
	}
	client, err := settings.NewHTTP(o.settingsURL, mtls.Pool(roots...), nowOf(d))
	if err != nil {
		return usagef("--settings-url: %w", err)
	}
	cfg.Settings = &settings.Client{URL: o.settingsURL, HTTP: client}
	return nil
}
