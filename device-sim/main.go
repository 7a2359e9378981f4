// Device-sim is Carillon's world on one machine: a certificate authority, an
// MQTT broker with mutual TLS, a bridge, an OpenID provider with CIBA, a
// settings API, cars and phones, all of them the real parts, on loopback, in
// one process, with nothing to configure.
//
//	go run ./device-sim world          a car asks, and you are the phone
//	go run ./device-sim world --auto   the same, and the phone approves by itself
//	go run ./device-sim run --all      every scenario, headless
//	go run ./device-sim list           what the scenarios are about
//	go run ./device-sim fleet          many cars at once, and parts that are killed
//
// See docs/simulator.md and docs/scenarios.md.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Whoever reads may have had enough: a world is to be taken down then, and
	// not to die of SIGPIPE.
	signal.Ignore(syscall.SIGPIPE)
	ctx, leave := context.WithCancel(ctx)
	code := run(ctx, os.Args[1:], stdio{
		in: os.Stdin, out: &outlet{os.Stdout, leave}, err: os.Stderr,
		person: isTerminal(os.Stdin),
		colour: isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "", // no-color.org
		status: isTerminal(os.Stderr),
	})
	leave()
	stop()
	os.Exit(code)
}

// stdio is what a command talks to.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	// person says that somebody sits in front of in; colour, that out shows
	// colours; status, that what is written to err can be written over.
	person, colour, status bool
}

// outlet ends the program when nobody takes what it says any more.
type outlet struct {
	w     io.Writer
	leave func()
}

func (o *outlet) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if err != nil {
		o.leave()
	}
	return n, err
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
