package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

func (c *command) pseudonymCommand() *ffcli.Command {
	s := new(settings)
	cmd := c.with(s, &ffcli.Command{
		Name:      "pseudonym",
		ShortHelp: "print by which name a device is known in logs and traces",
		LongHelp: `Prints the pseudonym of each device that is named or, if none is, of every device
whose certificate the bridge knows. Needs --db and --store-key as serve has them;
the bridge may be running.

EXAMPLE
  Which device has the log spoken of?
    carillon-bridge pseudonym --config /etc/carillon/bridge.toml | grep 5b1f0c9a7e3d2468`,
		Exec: func(ctx context.Context, devices []string) error {
			return s.pseudonyms(ctx, c.stdout, devices)
		},
	})
	cmd.ShortUsage = "carillon-bridge pseudonym [flags] [DEVICE…]"
	return cmd
}

// pseudonyms prints one device a line.
func (s *settings) pseudonyms(ctx context.Context, out io.Writer, devices []string) error {
	r, err := s.openRegister(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	print := func(d schemas.DeviceID) error {
		name := r.Pseudonym(d)
		if s.json {
			return json.NewEncoder(out).Encode(map[string]string{"device": string(d), "pseudonym": name})
		}
		_, err := fmt.Fprintf(out, "%s  %s\n", name, d)
		return err
	}
	if len(devices) == 0 {
		return r.Devices(ctx, print)
	}
	for _, text := range devices {
		d, err := schemas.ParseDeviceID(text)
		if err != nil {
			return usageError{err}
		}
		if err := print(d); err != nil {
			return err
		}
	}
	return nil
}

func (s *settings) openRegister(ctx context.Context) (*store.Register, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	source, err := s.storeKeys()
	if err != nil {
		return nil, err
	}
	data, err := s.readKeys(source)
	if err != nil {
		return nil, fmt.Errorf("--store-key: %w", err)
	}
	keys, err := parseStoreKeys(data)
	if err != nil {
		return nil, fmt.Errorf("--store-key: %q: %w", source, err)
	}
	r, err := store.OpenRegister(ctx, store.Config{Database: db, Keys: keys})
	if err != nil {
		return nil, fmt.Errorf("--db: %w", err)
	}
	return r, nil
}
