// Command carillon-bridge signs people in to devices by ringing their phone.
// See carillon-bridge --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/carillon-iot/carillon/bridge/cmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cmd.Main(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
