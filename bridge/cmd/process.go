package cmd

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
)

// Process is Main for a whole process: its arguments, its environment, its
// streams, its signals. SIGINT and SIGTERM stop a bridge in good order, a second
// one ends the process at once, and SIGHUP has it read files again.
func Process() int {
	log.SetOutput(unquoted{os.Stderr})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // the next signal has its usual effect
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	c := &command{stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(), reload: reload}
	return c.main(ctx, os.Args[1:])
}
