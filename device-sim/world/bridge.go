package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/carillon-iot/carillon/bridge/cmd"
	"github.com/carillon-iot/carillon/device-sim/process"
	"github.com/carillon-iot/carillon/device-sim/program"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// bridgeID names the bridge in its certificate.
const bridgeID = "eu-1"

// bridgePart is the bridge, run by its own command on a configuration file.
type bridgePart struct {
	config string // file
	output *os.File

	mu    sync.Mutex // guards the fields below
	part  *part
	child *process.Child // nil while it runs in this process, or not at all
}

func (w *World) startBridge(ctx context.Context, broker string) error {
	files := &mtls.Files{CertFile: w.path("bridge.pem"), KeyFile: w.path("bridge.key")}
	if err := w.enrol(ctx, mtls.Identity{Role: mtls.RoleBridge, ID: bridgeID}, files); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	config, err := w.bridgeConfig(files, broker)
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	output, err := os.OpenFile(w.path("bridge.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	w.bridge = &bridgePart{config: config, output: output}
	return w.runBridge()
}

func (w *World) runBridge() error {
	args := []string{"serve", "--config", w.bridge.config}
	if w.cfg.BridgeProcess {
		return w.forkBridge(args)
	}
	p := w.begin("bridge", func(ctx context.Context) error {
		said := process.NewTail(w.bridge.output)
		if code := cmd.Main(ctx, args, nil, said, said); code != 0 {
			return fmt.Errorf("exit status %d: %s", code, said)
		}
		return nil
	})
	w.bridge.set(p, nil)
	return nil
}

// forkBridge runs the bridge in a child process: this program again.
func (w *World) forkBridge(args []string) error {
	child, err := process.Start(program.Bridge, args, w.bridge.output)
	if err != nil {
		return err
	}
	p := w.begin("bridge", func(ctx context.Context) error {
		select {
		case <-child.Done():
			return child.Err()
		case <-ctx.Done():
			return child.Stop()
		}
	})
	w.bridge.set(p, child)
	return nil
}

func (p *bridgePart) set(part *part, child *process.Child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part, p.child = part, child
}

func (p *bridgePart) now() (*part, *process.Child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.part, p.child
}

// KillBridge kills the bridge's process (kill -9) and returns when it is dead.
func (w *World) KillBridge() error {
	p, child := w.bridge.now()
	if child == nil {
		return errors.New("the bridge is not a process of its own, or is dead already")
	}
	p.expectEnd()
	if err := child.Kill(); err != nil {
		return err
	}
	<-p.done
	w.bridge.set(p, nil)
	w.journal.tell(Event{Who: "bridge", What: "killed", Text: "is killed (kill -9)"})
	return nil
}

// StartBridge starts the bridge again on the files that a killed one has left.
func (w *World) StartBridge(context.Context) error {
	if p, child := w.bridge.now(); child != nil || !p.ended() {
		return errors.New("the bridge is running")
	}
	w.journal.tell(Event{Who: "bridge", What: "started", Text: "starts again"})
	return w.runBridge()
}
