package ciba_test

import (
	"slices"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// TestInteropOIDCProvider is about the provider of the npm registry, which is
// certified for FAPI-CIBA. It does not mind being asked before the interval is
// over, so nobody waits who does not test waiting.
func TestInteropOIDCProvider(t *testing.T) {
	authority := mtlstest.New(t)
	clients := interopClients(t, authority)
	polls := newTrials(t, authority, ciba.DeliveryPoll, clients)
	pings := newTrials(t, authority, ciba.DeliveryPing, clients)
	peer := startOIDCProvider(t, authority, registered(slices.Concat(polls, pings)))
	peer.open(t, polls)
	peer.open(t, pings)
	inspectInterop(t, polls)
	rows := interopRows(repeatedProof{refused: ciba.ErrInvalidGrant, lost: true})
	holdInterop(t, peer.name, oidcProviderDir+"/matrix.md", []interopTable{
		runInterop(t, ciba.DeliveryPoll, rows, polls),
		runInterop(t, ciba.DeliveryPing, rows, pings),
	}, map[ciba.DeliveryMode]string{ciba.DeliveryPush: "it has no push"})
}
