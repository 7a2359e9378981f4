package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/bridge/store"
)

func (c *command) migrateCommand() *ffcli.Command {
	s := new(settings)
	var dryRun bool
	cmd := c.with(s, &ffcli.Command{
		Name:      "migrate",
		ShortHelp: "bring the tables of the database up to date",
		LongHelp: `Does what serve does by itself when it starts, and ends. Only one at a time changes
tables, and what a newer carillon-bridge has changed is refused. Needs --db alone.

EXAMPLE
  What would a new version change, while the old one works?
    carillon-bridge migrate --dry-run --config /etc/carillon/bridge.toml`,
		Exec: func(ctx context.Context, args []string) error {
			if len(args) > 0 {
				return usagef("migrate takes no arguments, found %q", args[0])
			}
			return s.migrate(ctx, c.stdout, dryRun)
		},
	})
	cmd.FlagSet.BoolVar(&dryRun, "dry-run", false, "say what would be changed, and change nothing")
	return cmd
}

// migrate brings the tables up to date, or says what that would be.
func (s *settings) migrate(ctx context.Context, out io.Writer, dryRun bool) error {
	db, err := s.database()
	if err != nil {
		return err
	}
	do, did := store.Migrate, "changed by"
	if dryRun {
		do, did = store.Examine, "would be changed by"
	}
	plan, err := do(ctx, db)
	if err != nil {
		return fmt.Errorf("--db: %w", err)
	}
	if s.json {
		return json.NewEncoder(out).Encode(map[string]any{
			"database": db.String(), "version": plan.Have, "wanted": plan.Know, "steps": append([]string{}, plan.Steps...), "done": !dryRun,
		})
	}
	fmt.Fprintf(out, "%s: the tables were of version %d, wanted is %d\n", db, plan.Have, plan.Know)
	for _, step := range plan.Steps {
		fmt.Fprintf(out, "%s %s\n", did, step)
	}
	return nil
}

func (c *command) backupCommand() *ffcli.Command {
	s := new(settings)
	cmd := c.with(s, &ffcli.Command{
		Name:      "backup",
		ShortHelp: "copy the database, while the bridge works",
		LongHelp: `Writes a copy of the SQLite file as it is at one instant to a new file, with mode
0600. Needs --db alone. The keys of --store-key belong into the back-up as well,
apart from the copy, which is of no use without them. PostgreSQL has means of its
own, see docs/bridge.md.

EXAMPLE
    carillon-bridge backup --config /etc/carillon/bridge.toml /backup/bridge-$(date +%F).db`,
		Exec: func(ctx context.Context, args []string) error {
			if len(args) != 1 {
				return usagef("backup takes the name of a new file, found %d arguments", len(args))
			}
			return s.backup(ctx, c.stdout, args[0])
		},
	})
	cmd.ShortUsage = "carillon-bridge backup [flags] FILE"
	return cmd
}

func (s *settings) backup(ctx context.Context, out io.Writer, to string) error {
	db, err := s.database()
	if err != nil {
		return err
	}
	file, ok := db.(store.SQLite)
	if !ok {
		return usagef("--db is a PostgreSQL database: use pg_dump, or what its operator uses")
	}
	if err := file.Backup(ctx, to); err != nil {
		return fmt.Errorf("backing up: %w", err)
	}
	if s.json {
		return json.NewEncoder(out).Encode(map[string]string{"database": db.String(), "backup": to})
	}
	_, err = fmt.Fprintf(out, "%s is a copy of %s\n", to, db)
	return err
}
