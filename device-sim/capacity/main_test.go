package capacity

import (
	"context"
	"os"
	"testing"

	"github.com/carillon-iot/carillon/device-sim/process"
	"github.com/carillon-iot/carillon/device-sim/program"
)

const providerProcess = "capacity-provider"

// TestMain makes the test binary one of the parts, if it was started as one.
func TestMain(m *testing.M) {
	programs := process.Programs{program.Bridge: program.All()[program.Bridge], providerProcess: serveProvider}
	if code, ok := programs.Child(context.Background(), os.Args[1:], os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}
