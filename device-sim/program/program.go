// Package program is what the children of the simulator's binary can be: the
// parts that a simulation kills.
package program

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/carillon-iot/carillon/bridge/cmd"
	"github.com/carillon-iot/carillon/device-sim/process"
)

// The programs, by the hidden first argument.
const (
	Bridge   = "bridge-process"   // carillon-bridge, with its own arguments
	Broker   = "broker-process"   // on a file with a BrokerConfig
	Provider = "provider-process" // on a file with a ProviderConfig
)

// All returns every program.
func All() process.Programs {
	return process.Programs{
		Bridge: func(ctx context.Context, args []string, stdout, stderr io.Writer) int {
			return cmd.Main(ctx, args, nil, stdout, stderr)
		},
		Broker:   configured(serveBroker),
		Provider: configured(serveProvider),
	}
}

// configured is a program whose one argument is the file with its configuration.
func configured[C any](serve func(ctx context.Context, cfg C, log *slog.Logger) error) process.Program {
	return func(ctx context.Context, args []string, _, stderr io.Writer) int {
		cfg, err := read[C](args)
		if err == nil {
			err = serve(ctx, cfg, slog.New(slog.NewTextHandler(stderr, nil)))
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		return 0
	}
}

func read[C any](args []string) (cfg C, err error) {
	if len(args) != 1 {
		return cfg, fmt.Errorf("%d arguments, want the file with the configuration", len(args))
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return cfg, err
	}
	if err := json.Unmarshal(data, &cfg); err != nil {
		return cfg, fmt.Errorf("%q: %w", args[0], err)
	}
	return cfg, nil
}
