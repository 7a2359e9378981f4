package process_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/device-sim/process"
)

// programs are what the test binary can be as a child.
var programs = process.Programs{
	"waits": func(ctx context.Context, args []string, stdout, _ io.Writer) int {
		fmt.Fprintln(stdout, "waiting", args)
		<-ctx.Done()
		return 0
	},
	"fails": func(_ context.Context, _ []string, _, stderr io.Writer) int {
		fmt.Fprintln(stderr, "no such luck")
		return 3
	},
	"computes": func(_ context.Context, _ []string, _, _ io.Writer) int {
		for begin := process.Own().CPU; process.Own().CPU < begin+50*time.Millisecond; {
		}
		return 0
	},
	// A parent of two that compute: one ends, the other stays.
	"family": func(ctx context.Context, _ []string, stdout, stderr io.Writer) int {
		dead, err := process.Start("computes", nil, stderr)
		if err != nil {
			return 1
		}
		<-dead.Done()
		if _, err = process.Start("stays", nil, stdout); err != nil {
			return 1
		}
		<-ctx.Done()
		return 0
	},
	"stays": func(ctx context.Context, _ []string, stdout, _ io.Writer) int {
		for begin := process.Own().CPU; process.Own().CPU < begin+50*time.Millisecond; {
		}
		fmt.Fprintln(stdout, "done")
		<-ctx.Done()
		return 0
	},
	// A parent that starts a child, says its number, and is then killed.
	"parent": func(_ context.Context, _ []string, stdout, stderr io.Writer) int {
		child, err := process.Start("waits", nil, stderr)
		if err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		fmt.Fprintln(stdout, child.PID())
		select {}
	},
}

func TestMain(m *testing.M) {
	if code, ok := programs.Child(context.Background(), os.Args[1:], os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// output is a buffer that says when something is in it.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
	some chan struct{}
}

func newOutput() *output { return &output{some: make(chan struct{}, 1)} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.some <- struct{}{}:
	default:
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func start(t *testing.T, name string, args ...string) (*process.Child, *output) {
	t.Helper()
	out := newOutput()
	c, err := process.Start(name, args, out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Kill() })
	return c, out
}

func TestStop(t *testing.T) {
	c, out := start(t, "waits", "for", "it")
	<-out.some
	if u := c.Usage(); u.Resident == 0 || u.Peak < u.Resident {
		t.Errorf("alive it uses %+v", u)
	}
	for range 2 {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}
	if want := "waiting [for it]\n"; out.String() != want {
		t.Errorf("it said %q, want %q", out, want)
	}
}

func TestKill(t *testing.T) {
	c, out := start(t, "waits")
	<-out.some
	for range 2 {
		if err := c.Kill(); err != nil {
			t.Error(err)
		}
	}
	var exit *exec.ExitError
	if err := c.Err(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("killed, it ended with %v", err)
	}
	if c.Usage().Peak == 0 {
		t.Error("dead, it has used no memory")
	}
}

func TestFailure(t *testing.T) {
	c, _ := start(t, "fails")
	<-c.Done()
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "fails: exit status 3: no such luck") {
		t.Errorf("error %v", err)
	}
	if err := c.Stop(); err == nil {
		t.Error("to stop it says nothing of the failure")
	}
}

func TestUsage(t *testing.T) {
	c, _ := start(t, "computes")
	<-c.Done()
	if u := c.Usage(); u.CPU < 50*time.Millisecond {
		t.Errorf("it has computed for %v, want 50 ms or more", u.CPU)
	}
}

// A family's cost is that of children, living and dead.
func TestFamilyUsage(t *testing.T) {
	parent, out := start(t, "family")
	<-out.some
	u := process.FamilyUsage(parent.PID())
	if own := process.UsageOf(parent.PID()); u.CPU < own.CPU+70*time.Millisecond || u.Resident <= 0 {
		t.Errorf("the family has used %+v, its first process %+v, and two children 50 ms each, to a hundredth of a second", u, own)
	}
}

func TestNoProgram(t *testing.T) {
	for _, args := range [][]string{nil, {"world"}} {
		if _, ok := programs.Child(t.Context(), args, io.Discard, io.Discard); ok {
			t.Errorf("%q is a program", args)
		}
	}
}

// A child does not outlive a parent that is killed.
func TestNoOrphan(t *testing.T) {
	parent, out := start(t, "parent")
	<-out.some
	var pid int
	if _, err := fmt.Sscan(out.String(), &pid); err != nil {
		t.Fatal(err)
	}
	if err := parent.Kill(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for syscall.Kill(pid, 0) == nil {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return // gone, or dead and not yet collected by whoever adopted it
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the child lives on")
		}
		time.Sleep(time.Millisecond) // polling, with a deadline
	}
}
