package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/peterbourgon/ff/v3/ffcli"
)

func versionCommand(stdout io.Writer) *ffcli.Command {
	fs := newFlagSet("carillon-broker version")
	asJSON := fs.Bool("json", false, "print it as JSON")
	return &ffcli.Command{
		Name:       "version",
		ShortUsage: "carillon-broker version [--json]",
		LongHelp:   "Prints which build this is.",
		FlagSet:    fs,
		Exec: func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return usagef("version takes no argument, found %q", args[0])
			}
			version, goVersion := "unknown", ""
			if info, ok := debug.ReadBuildInfo(); ok {
				version, goVersion = info.Main.Version, info.GoVersion
			}
			if *asJSON {
				return json.NewEncoder(stdout).Encode(map[string]string{"version": version, "go": goVersion})
			}
			_, err := fmt.Fprintf(stdout, "carillon-broker %s (%s)\n", version, goVersion)
			return err
		},
	}
}
