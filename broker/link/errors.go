package link

import (
	"errors"
	"fmt"
)

// Errors of Publish and Run.
var (
	// ErrDown means that there is no connection, or that it was lost before
	// the broker acknowledged; the message may or may not have been delivered.
	ErrDown = errors.New("the link is down")
	// ErrClosed means that the link has been closed, or was run before.
	ErrClosed = errors.New("the link is closed")
)

// What Status shows when the broker ends a connection without an error code:
// MQTT 3.1.1 has none.
var (
	errEOF        = errors.New("the broker closed the connection")
	errDisconnect = errors.New("the broker ended the session, as it does when another connection has the same client id or when it stops")
	errSilent     = errors.New("the broker acknowledges nothing")
)

// ConnectError is the refusal of a connection.
type ConnectError struct {
	Code byte // of the CONNACK (MQTT 3.1.1 section 3.2.2.3)
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("the broker refused the connection with code %d: %s", e.Code, e.reason())
}

func (e *ConnectError) reason() string {
	switch e.Code {
	case 1:
		return "it does not speak MQTT 3.1.1"
	case 2:
		return "client id rejected"
	case 3:
		return "server unavailable"
	case 4:
		return "bad user name or password"
	case 5:
		return "not authorized"
	}
	return "not a code of MQTT 3.1.1"
}

// SubscribeError is the refusal of one subscription.
type SubscribeError struct {
	Filter string
	Code   byte // of the SUBACK; MQTT 3.1.1 knows 0x80, some brokers send MQTT 5 codes
}

func (e *SubscribeError) Error() string {
	return fmt.Sprintf("the broker refused the subscription to %q with code %#x", e.Filter, e.Code)
}

// ProtocolError is a packet that a broker must not send, or not at this size.
type ProtocolError struct {
	Packet byte // the first byte: type and flags
	Reason string
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("the broker sent a bad packet (type %d, flags %#x): %s", e.Packet>>4, e.Packet&15, e.Reason)
}
