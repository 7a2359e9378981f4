// Package process runs parts of a simulation as children of this very program,
// so that each can be killed (kill -9) and what it costs be told from the rest.
//
// A child is the same binary with a first argument that nobody types:
//
//	programs := process.Programs{"bridge-process": bridgeMain}
//	if code, ok := programs.Child(ctx, os.Args[1:], os.Stdout, os.Stderr); ok {
//		os.Exit(code)
//	}
//	child, err := process.Start("bridge-process", []string{"serve"}, log)
//
// A child ends when its standard input does, and so with the process that
// started it, however that ends: no orphan outlives a killed parent.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// A Program is what a child runs. It returns the exit status, soon after ctx
// ends.
type Program func(ctx context.Context, args []string, stdout, stderr io.Writer) int

// Programs are what a binary can be as a child, by first argument.
type Programs map[string]Program

// Child runs a program and returns its exit status, if the arguments (without
// the program's name) say that this process was started to be one.
func (p Programs) Child(ctx context.Context, args []string, stdout, stderr io.Writer) (code int, ok bool) {
	if len(args) == 0 {
		return 0, false
	}
	program, ok := p[args[0]]
	if !ok {
		return 0, false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is closed, whyever
		cancel()
	}()
	return program(ctx, args[1:], stdout, stderr), true
}

// goodbye is how long a child may take to stop.
const goodbye = 15 * time.Second

// A Child is a process that was started and not more: one life. All methods may
// be called concurrently.
type Child struct {
	name  string
	cmd   *exec.Cmd
	alive io.Closer // its standard input
	said  *Tail

	stopping sync.Once
	done     chan struct{}
	err      error // valid when done is closed
}

// Start starts this binary as the program of that name. What it prints goes to
// output, which must be fit for concurrent use with others.
func Start(name string, args []string, output io.Writer) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	c := &Child{name: name, said: NewTail(output), done: make(chan struct{})}
	c.cmd = exec.Command(self, append([]string{name}, args...)...)
	c.cmd.Stdout, c.cmd.Stderr = c.said, c.said
	// Ctrl-C is for the parent, which ends its children in its turn.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.alive, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
	}()
	return c, nil
}

// PID is the process's number.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Err returns how a child has ended that is done: nil for exit status 0, else
// with the last it said.
func (c *Child) Err() error {
	if c.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %s", c.name, c.err, c.said)
}

// Kill kills the child (kill -9) and returns when it is dead.
func (c *Child) Kill() error {
	err := c.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("killing %s: %w", c.name, err)
	}
	<-c.done
	return nil
}

// Stop ends the child as the end of its parent would, waits for it, and returns
// Err. A child that does not stop is killed.
func (c *Child) Stop() error {
	c.stopping.Do(func() { c.alive.Close() })
	timer := time.NewTimer(goodbye)
	defer timer.Stop()
	select {
	case <-c.done:
		return c.Err()
	case <-timer.C:
	}
	return errors.Join(fmt.Errorf("%s did not end within %v", c.name, goodbye), c.Kill())
}
