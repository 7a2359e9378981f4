package world

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/carillon-iot/carillon/bridge/cmd"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// bridgeID names the bridge in its certificate.
const bridgeID = "eu-1"

// childArg, as the first argument, makes a process the bridge.
const childArg = "bridge-process"

// bridgePart is the bridge, run by its own command on a configuration file.
type bridgePart struct {
	config string // file
	output *os.File

	mu    sync.Mutex // guards the fields below
	part  *part
	child *os.Process // nil while it runs in this process, or not at all
}

// BridgeChild runs the bridge and returns its exit status, if the arguments
// (without the program's name) say that this process was started to be one. It
// ends when standard input does: with the process that started it.
func BridgeChild(ctx context.Context, args []string, stdout, stderr io.Writer) (code int, ok bool) {
	if len(args) == 0 || args[0] != childArg {
		return 0, false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is closed, whyever
		cancel()
	}()
	return cmd.Main(ctx, args[1:], nil, stdout, stderr), true
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
		said := &tail{w: w.bridge.output}
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
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	said := &tail{w: w.bridge.output}
	child := exec.Command(self, append([]string{childArg}, args...)...)
	child.Stdout, child.Stderr = said, said
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process, which ends the child in its turn
	alive, err := child.StdinPipe()
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	if err := child.Start(); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	p := w.begin("bridge", func(ctx context.Context) error {
		return tend(ctx, child, alive, said)
	})
	w.bridge.set(p, child.Process)
	return nil
}

// tend waits for a child, and ends it when ctx does.
func tend(ctx context.Context, child *exec.Cmd, alive io.Closer, said *tail) error {
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	select {
	case err := <-ended:
		return fmt.Errorf("%w: %s", err, said)
	case <-ctx.Done():
	}
	alive.Close()
	select {
	case err := <-ended:
		return err
	case <-time.After(10 * time.Second):
		_ = child.Process.Kill()
		<-ended
		return errors.New("did not end within 10 s")
	}
}

func (p *bridgePart) set(part *part, child *os.Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part, p.child = part, child
}

func (p *bridgePart) now() (*part, *os.Process) {
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

// tail passes on what a program says and remembers the end of it.
type tail struct {
	w io.Writer

	mu  sync.Mutex // guards end
	end []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	t.end = append(t.end, b...)
	if over := len(t.end) - 1024; over > 0 {
		t.end = t.end[over:]
	}
	t.mu.Unlock()
	return t.w.Write(b)
}

// String returns the last lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.end))
}
