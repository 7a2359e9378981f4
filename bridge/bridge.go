// Package bridge turns signed requests of devices into sign-ins at an OpenID
// provider, and what the person decides into signed answers.
//
// A [Bridge] receives the messages of schemas from one side ([Bridge.Handle])
// and publishes answers to it ([Publisher]); on the other side it speaks CIBA
// to a [Provider]. What a sign-in has come to is in a store, so that a bridge
// may be killed at any moment: see docs/bridge.md for the order of the durable
// steps and what each crash leaves behind.
//
// # What holds
//
//   - One request rings the phone at most once, whatever crashes and however
//     often the device repeats it.
//   - A request that was accepted gets a final answer that this bridge signed.
//     It is published again and again until the device's receipt, so it does not
//     matter what the broker loses.
//   - Nothing secret is stored or logged in clear. A token is never stored but
//     sealed to the device.
//
// # Who owns what
//
// [Bridge.Run] owns every goroutine: the lanes that handle messages (in order
// for one device), the lanes that publish, the loops that find due work in the
// store, and the store's writer. No goroutine waits for a person.
package bridge

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// Config is what a bridge works with. All fields are required but those that
// say what nil or zero means.
type Config struct {
	// Signer returns the signer of answers: the bridge's certificate and key. It
	// is asked often, so that a renewed certificate is taken up, and must answer
	// at once. See FixedSigner.
	Signer func() (*schemas.Signer, error)
	// SealKeys open the hints of devices. The first is told to devices; the
	// others are for devices that have not heard of it yet. All bridges of one
	// store share them.
	SealKeys []*schemas.SealKey
	// Devices are the roots of device certificates.
	Devices *x509.CertPool
	// Revoked reports whether a device's certificate was revoked; nil means that
	// none ever is.
	Revoked func(*x509.Certificate) bool
	// Provider rings the phones.
	Provider Provider
	// Renewer renews sessions at the same provider and ends them there; nil means
	// that no session can be renewed, and that Policy.SessionLife is empty.
	Renewer Renewer
	// Issuer is the provider's issuer identifier. People are known by it and
	// their subject.
	Issuer string
	// Delivery is how the provider reports what people decide, as the client is
	// registered there; "" means ciba.DeliveryPoll. With ping and push the provider
	// must reach a handler of [Bridge.Notifications].
	Delivery ciba.DeliveryMode
	// Store holds what outlives the process. Run runs its writer; opening and
	// closing it is the caller's.
	Store *store.Store
	// Publisher carries answers to the devices.
	Publisher Publisher
	// Policy says which sign-ins are taken on; begin with policy.Default.
	Policy policy.Policy
	// RequestContext sends request_context (FAPI-CIBA section 5.2.2) with each
	// authentication request: which kind of device asks and what for.
	RequestContext bool
	// Asks are what authentication requests ask for besides; the zero value adds
	// nothing.
	Asks Asks
	// Limits bound the bridge's work; zero fields have defaults.
	Limits Limits
	// Metrics counts what the bridge does; nil means that nobody wants to know. A
	// Set is of one bridge.
	Metrics *metrics.Set
	// Traces takes a span for each step of a request; nil means that nobody wants to
	// know. It must have been made with [trace.IDs].
	Traces oteltrace.TracerProvider
	// Logger hears one line for each sign-in that ends, and every fault; nil means
	// slog.Default(). Devices have their pseudonyms there, see [store.Register].
	Logger *slog.Logger

	failpoint func(step string) // of crash tests; nil outside
}

// A Provider is an OpenID provider with CIBA. *ciba.Client is one.
type Provider interface {
	// RequestAuthentication rings a phone.
	RequestAuthentication(context.Context, ciba.AuthenticationRequest) (ciba.Acknowledgement, error)
	// RequestToken asks once what became of it.
	RequestToken(context.Context, ciba.TokenRequest) (*ciba.Tokens, error)
	// Profile says in what it differs from others. It is always the same.
	Profile() profile.Profile
}

// A Publisher publishes to an MQTT topic. *link.Link is one. Nil says that the
// broker has the message, which proves nothing.
type Publisher interface {
	Publish(ctx context.Context, topic string, payload []byte) error
}

// Limits bound what all bridges of a store do at the same time. What exceeds them
// is refused as busy, before anything is stored, and the device repeats it; polls
// wait. All bridges should have the same.
type Limits struct {
	Open  int // sign-ins that wait for a person; 0 means 1,000,000
	Calls int // authentication requests at the provider at the same time; 0 means 128
	// Polls are token requests at the provider at the same time; 0 means 256. Each
	// bridge takes its share, which is one at least.
	Polls int
	// Renewals are refresh requests at the provider at the same time; 0 means 64.
	Renewals int
}

func (l Limits) withDefaults() (Limits, error) {
	for _, f := range []struct {
		name string
		n    *int
		def  int
	}{{"open", &l.Open, 1_000_000}, {"calls", &l.Calls, 128}, {"polls", &l.Polls, 256}, {"renewals", &l.Renewals, 64}} {
		if *f.n < 0 {
			return l, fmt.Errorf("limit %q is %d, want 1 or more, or 0 for %d", f.name, *f.n, f.def)
		}
		if *f.n == 0 {
			*f.n = f.def
		}
	}
	return l, nil
}

// FixedSigner returns a Config.Signer that always returns s.
func FixedSigner(s *schemas.Signer) func() (*schemas.Signer, error) {
	return func() (*schemas.Signer, error) { return s, nil }
}

func (c Config) validate() error {
	for _, f := range []struct {
		name    string
		missing bool
	}{
		{"Signer", c.Signer == nil},
		{"SealKeys", len(c.SealKeys) == 0},
		{"Devices", c.Devices == nil},
		{"Provider", c.Provider == nil},
		{"Issuer", c.Issuer == ""},
		{"Store", c.Store == nil},
		{"Publisher", c.Publisher == nil},
	} {
		if f.missing {
			return fmt.Errorf("config: %s is missing", f.name)
		}
	}
	if modes := []ciba.DeliveryMode{"", ciba.DeliveryPoll, ciba.DeliveryPing, ciba.DeliveryPush}; !slices.Contains(modes, c.Delivery) {
		return fmt.Errorf("config: Delivery is %q, want one of %q", c.Delivery, modes[1:])
	}
	if err := c.Policy.Validate(); err != nil {
		return fmt.Errorf("config: policy: %w", err)
	}
	if err := c.Asks.Validate(c.Provider.Profile()); err != nil {
		return fmt.Errorf("config: asks: %w", err)
	}
	if c.Renewer == nil && len(c.Policy.SessionLife) > 0 {
		return errors.New("config: Renewer is missing, and sessions are to outlive their token")
	}
	return nil
}
