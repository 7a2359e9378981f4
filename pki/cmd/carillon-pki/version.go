package main

import (
	"context"
	"flag"
	"fmt"
	"runtime/debug"

	"github.com/peterbourgon/ff/v3/ffcli"
)

func (c *cli) versionCommand() *ffcli.Command {
	var asJSON bool
	return c.command(command{
		name: "version", short: "Prints which build this is.",
		help: `Prints which build this is.

EXAMPLE
  carillon-pki version --json`,
		flags: func(fs *flag.FlagSet) { fs.BoolVar(&asJSON, "json", false, "print JSON") },
		exec: func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return usagef("version takes no argument, found %q", args[0])
			}
			version, goVersion := "unknown", ""
			if info, ok := debug.ReadBuildInfo(); ok {
				version, goVersion = info.Main.Version, info.GoVersion
			}
			if asJSON {
				return c.json(map[string]string{"version": version, "go": goVersion})
			}
			_, err := fmt.Fprintf(c.out, "carillon-pki %s (%s)\n", version, goVersion)
			return err
		},
	})
}
