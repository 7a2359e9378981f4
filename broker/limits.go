package broker

import (
	"errors"
	"fmt"
	"time"
)

// Limits bound what one client, or all of them together, can cost the broker. A
// zero field means its default.
type Limits struct {
	// MaxClients is the number of clients connected at a time; one more is
	// refused with "server unavailable". An idle client takes about 60 kB.
	// Default 50000.
	MaxClients int
	// MaxPending is the number of connections that have not got as far as an
	// accepted CONNECT. When all places are taken, connections that have held
	// one for a third of ConnectTimeout lose it to newer ones, and until then
	// newer ones wait unaccepted. Default 1024.
	MaxPending int
	// ConnectTimeout bounds the time from the TCP connection to the accepted
	// CONNECT, the TLS handshake included. Default 10 s.
	ConnectTimeout time.Duration
	// MaxPacket is the largest MQTT packet accepted, in bytes without the
	// fixed header. Default 64 KiB.
	MaxPacket int
	// MaxKeepAlive is the longest keep alive a client may ask for; zero (never)
	// is refused too. A client that is silent for one and a half times its
	// keep alive is disconnected. Default 20 minutes.
	MaxKeepAlive time.Duration
	// WriteTimeout is the time for which a client may take nothing of what is
	// sent to it before it is disconnected; DeviceBuffer and BridgeBuffer are
	// the bytes that may pile up meanwhile. Default 10 s, 256 KiB and 16 MiB.
	WriteTimeout               time.Duration
	DeviceBuffer, BridgeBuffer int
	// DeviceRate and BridgeRate are the packets per second that one client may
	// send in the long run, pings and acknowledgements included; DeviceBurst
	// and BridgeBurst may come at once. What exceeds them is not read until its
	// time has come, so that nothing is lost and nobody else pays. Defaults 20
	// and 20000 per second, bursts of 100 and 20000.
	DeviceRate, BridgeRate   float64
	DeviceBurst, BridgeBurst int
	// MaxInflight is the number of messages that one client may leave
	// unacknowledged; one more is dropped and counted. Default 8192.
	MaxInflight int
	// WriteQueue is the number of messages for one client that may wait to be
	// encoded; one more is dropped and counted. Each place takes 8 bytes for
	// every client, used or not. Default 1024.
	WriteQueue int
	// SweepEvery is the time between two searches for connected clients whose
	// certificate has expired or been revoked; those that send or receive
	// are found at once. Default one minute.
	SweepEvery time.Duration
}

// WithDefaults returns l with its defaults filled in, and an error that names each
// limit that is out of range. New calls it.
func (l Limits) WithDefaults() (Limits, error) {
	err := errors.Join(
		within("clients", &l.MaxClients, 50_000, 1, 10_000_000),
		within("pending connections", &l.MaxPending, 1024, 1, 1_000_000),
		within("connect timeout", &l.ConnectTimeout, 10*time.Second, 100*time.Millisecond, 5*time.Minute),
		within("largest packet", &l.MaxPacket, 64<<10, 1024, 16<<20),
		within("longest keep alive", &l.MaxKeepAlive, 20*time.Minute, 5*time.Second, 12*time.Hour),
		within("write timeout", &l.WriteTimeout, 10*time.Second, 100*time.Millisecond, 5*time.Minute),
		within("device buffer", &l.DeviceBuffer, 256<<10, 4<<10, 1<<30),
		within("bridge buffer", &l.BridgeBuffer, 16<<20, 4<<10, 1<<30),
		within("device rate", &l.DeviceRate, 20, 0.1, 1e6),
		within("bridge rate", &l.BridgeRate, 20_000, 0.1, 1e6),
		within("device burst", &l.DeviceBurst, 100, 10, 1_000_000),
		within("bridge burst", &l.BridgeBurst, 20_000, 10, 1_000_000),
		within("messages in flight", &l.MaxInflight, 8192, 1, 65535),
		within("write queue", &l.WriteQueue, 1024, 1, 1<<20),
		within("sweep interval", &l.SweepEvery, time.Minute, 100*time.Millisecond, time.Hour),
	)
	return l, err
}

func within[T int | float64 | time.Duration](name string, v *T, zero, least, most T) error {
	if *v == 0 {
		*v = zero
	}
	if !(*v >= least && *v <= most) { // a NaN is not
		return fmt.Errorf("limit on %s is %v, want %v to %v", name, *v, least, most)
	}
	return nil
}
