package broker

import (
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// The policy, for its table.
var (
	MayPublish   = mayPublish
	MaySubscribe = maySubscribe
	MayReceive   = mayReceive
)

// MayConnect takes what matters in a CONNECT.
func MayConnect(who mtls.Identity, version byte, clientID string, keepAlive, longest time.Duration, will bool) error {
	return mayConnect(who, hello{version, clientID, keepAlive, will}, longest)
}
