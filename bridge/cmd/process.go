package cmd

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Process is Main for a whole process: its arguments, its environment, its
// streams, its signals. SIGINT and SIGTERM stop a bridge in good order; a second
// one ends the process at once.
func Process() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // the next signal has its usual effect
	return Main(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
}
