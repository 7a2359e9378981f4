package bridge

// The steps at which crash tests kill the bridge, in the order in which one
// sign-in passes them. docs/bridge.md says what a crash at each leaves behind.
const (
	stepAccepted  = "accepted"  // decided to ring; nothing is durable
	stepRinging   = "ringing"   // that is durable; the provider was not asked
	stepRung      = "rung"      // the provider has answered; that is not durable
	stepWaiting   = "waiting"   // that is durable; the device does not know it
	stepClaimed   = "claimed"   // a poll is claimed; it was not sent
	stepPolled    = "polled"    // the provider has answered the poll; that is not durable
	stepPinged    = "pinged"    // the provider's ping is durable; nobody has asked yet
	stepPushed    = "pushed"    // the provider has pushed; that is not durable
	stepAnswered  = "answered"  // the final answer is durable; it was not published
	stepReceipted = "receipted" // the receipt is durable
)

// And those of one renewal, between accepted and answered.
const (
	stepRenewing  = "renewing"  // about to spend the refresh token is durable; the provider was not asked
	stepRefreshed = "refreshed" // the provider has answered; that is not durable
)
