package ciba_test

import (
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/inspect"
)

// inspectInterop holds what package inspect says of clients that work, and of the
// same clients with what proves another one, to what providers really do.
func inspectInterop(t *testing.T, trials []*interopTrial) {
	for _, trial := range trials {
		t.Run("inspected/"+trial.as.name, func(t *testing.T) {
			for _, f := range trial.inspect(t, trial.as.right) {
				if f.Bad() {
					t.Errorf("a client that works: %+v", f)
				}
			}
			failed := false
			for _, f := range trial.inspect(t, trial.as.wrong) {
				failed = failed || f.Check == inspect.Client && f.Bad() && f.Advice != ""
			}
			if !failed {
				t.Error("nothing is said of a client with what proves another one")
			}
		})
	}
}

func (c *interopTrial) inspect(t *testing.T, proof ciba.Config) []inspect.Finding {
	t.Helper()
	return inspect.Run(t.Context(), inspect.Config{
		Client:     c.peer.client(t, c.as, proof),
		HTTPClient: c.peer.http,
		Request:    ciba.AuthenticationRequest{Scope: []string{"openid"}},
	})
}
