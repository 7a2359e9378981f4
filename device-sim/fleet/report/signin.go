package report

import "time"

// An Outcome is how a sign-in has ended, as its device says.
type Outcome string

// The outcomes.
const (
	Granted Outcome = "granted"
	Denied  Outcome = "denied"  // the person said no
	Expired Outcome = "expired" // the person said nothing
	Refused Outcome = "refused" // for any other reason; Code says which
	Lost    Outcome = "lost"    // no answer that a bridge has signed
	Open    Outcome = "open"    // the run was interrupted before
)

// A SignIn is one request, from the driver's tap to its end. Times are since the
// first one was due; those of what has not happened are 0.
type SignIn struct {
	// Due is when the driver tapped, by the plan; Rang when the device said that
	// the phone rings; Approved when the provider took the person's approval;
	// Ended when the device knew the end.
	Due, Rang, Approved, Ended time.Duration

	Outcome Outcome
	Code    string // of a refusal, denied and expired included; of a loss, "unsent" or "unknown"

	Pushes   int // requests that the provider has accepted for it
	Redeemed int // how often the provider has handed out its tokens
	Ends     int // how often the device has said that it is over
}
