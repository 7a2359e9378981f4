package ciba

import "slices"

// A DeliveryMode is how a client, once and for all, is registered to receive its
// tokens (CIBA Core section 5).
type DeliveryMode string

// The delivery modes.
const (
	// DeliveryPoll: the client asks until the person has decided.
	DeliveryPoll DeliveryMode = "poll"
	// DeliveryPing: the provider says when to ask. The client may ask without that,
	// and should now and then, as pings get lost; see [NewPingPoll].
	DeliveryPing DeliveryMode = "ping"
	// DeliveryPush: the provider brings the tokens. The client must not ask.
	DeliveryPush DeliveryMode = "push"
)

// checkDelivery holds the request and the provider's metadata against the mode.
func (c *Client) checkDelivery(req *AuthenticationRequest, m *Metadata) error {
	if m.BackchannelTokenDeliveryModes != nil && !slices.Contains(m.BackchannelTokenDeliveryModes, string(c.delivery)) {
		return fieldErrorf("Delivery", "is %q, but the provider supports %s", c.delivery, some(m.BackchannelTokenDeliveryModes))
	}
	switch {
	case c.delivery != DeliveryPoll:
		return checkNotificationToken(req.NotificationToken)
	case req.NotificationToken != "":
		return fieldErrorf("NotificationToken", "is set, but Delivery is %q", c.delivery)
	default:
		return nil
	}
}

// mayAsk refuses token requests of a push client.
func (c *Client) mayAsk() error {
	if c.delivery == DeliveryPush {
		return fieldErrorf("Delivery", "is %q: the provider brings the tokens and must not be asked", DeliveryPush)
	}
	return nil
}
