package fleet

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/device-sim/process"
)

// programs are what the test binary can be as a child.
var programs = process.Programs{
	"waits": func(ctx context.Context, _ []string, _, _ io.Writer) int {
		<-ctx.Done()
		return 0
	},
	"ends": func(context.Context, []string, io.Writer, io.Writer) int { return 0 },
}

func TestMain(m *testing.M) {
	if code, ok := programs.Child(context.Background(), os.Args[1:], os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// newPart returns a part, and the failures that it tells of.
func newPart(t *testing.T, program string) (*part, chan error) {
	t.Helper()
	output, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { output.Close() })
	failures := make(chan error, 100)
	return &part{
		name: "part", program: program, output: output,
		ready:  func(context.Context) error { return nil },
		failed: func(err error) { failures <- err },
	}, failures
}

// A part that is killed again and again, and stopped at last, has not failed, and
// has cost what its lives have.
func TestLives(t *testing.T) {
	p, failures := newPart(t, "waits")
	for range 20 {
		if err := p.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.kill(); err != nil {
			t.Fatal(err)
		}
	}
	past := p.usage()
	if past.CPU <= 0 || past.Peak <= 0 || past.Resident != 0 {
		t.Errorf("dead, it has cost %+v", past)
	}
	if err := p.kill(); err == nil {
		t.Error("it is killed twice")
	}
	if err := p.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := p.usage(); now.CPU < past.CPU || now.Resident <= 0 {
		t.Errorf("alive again, it has cost %+v, after %+v", now, past)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-failures:
		t.Errorf("it has failed: %v", err)
	case <-time.After(50 * time.Millisecond): // for those who look after every life
	}
}

// A part that ends by itself has failed, before it is ready and after.
func TestEndsByItself(t *testing.T) {
	p, failures := newPart(t, "ends")
	p.ready = func(context.Context) error { return errors.New("not yet") }
	if err := p.start(t.Context()); err == nil || !strings.Contains(err.Error(), "ended before it was ready") {
		t.Errorf("error %v", err)
	}
	if err := <-failures; !strings.Contains(err.Error(), "the part has ended by itself") {
		t.Errorf("failure %v", err)
	}
	p, failures = newPart(t, "ends")
	if err := p.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-failures
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}
