package broker

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// This file says who may do what, and nothing else: it knows no connection, no
// clock and no MQTT library. Every function returns nil for yes and the reason
// for no.
//
//	           connect as    publish to            subscribe to
//	device d   d             carillon/v1/d/up      carillon/v1/d/down
//	bridge b   bridge:b      carillon/v1/+/down    $share/<group>/carillon/v1/+/up
//
// A device names topics, never filters, so no wildcard can widen them. A bridge
// subscribes in a group only, so that two bridges never answer one request
// because somebody forgot the group. Nobody sends with QoS 2, retains a message
// or leaves a will; nobody reads $SYS.

// maxSubscriptions bounds the filters of one bridge; a device has one.
const maxSubscriptions = 8

// hello is what matters in a CONNECT packet.
type hello struct {
	version   byte // protocol level; 4 is MQTT 3.1.1
	clientID  string
	keepAlive time.Duration
	will      bool
}

// errVersion and errClientID have codes of their own in MQTT 3.1.1.
var (
	errVersion  = errors.New("protocol level not supported")
	errClientID = errors.New("client id is not the certificate's")
)

// mayConnect judges a CONNECT from the holder of a verified certificate.
func mayConnect(who mtls.Identity, h hello, longest time.Duration) error {
	if who.Role != mtls.RoleDevice && who.Role != mtls.RoleBridge {
		return fmt.Errorf("%s is neither a device nor a bridge", who)
	}
	if h.version != 4 {
		return fmt.Errorf("%w: %d, want 4 (MQTT 3.1.1)", errVersion, h.version)
	}
	if want := who.ClientID(); h.clientID != want {
		return fmt.Errorf("%w: %.80q, want %q", errClientID, h.clientID, want)
	}
	if h.will {
		return errors.New("will message: none is accepted")
	}
	if h.keepAlive <= 0 || h.keepAlive > longest {
		return fmt.Errorf("keep alive %v, want 1s to %v", h.keepAlive, longest)
	}
	return nil
}

// mayPublish judges a PUBLISH.
func mayPublish(who mtls.Identity, topic string, qos byte, retain bool) error {
	if retain {
		return errors.New("retained message: none is accepted")
	}
	if qos > 1 {
		return fmt.Errorf("QoS %d, want at most 1", qos)
	}
	t, err := schemas.ParseTopic(topic)
	if err != nil {
		return err
	}
	switch {
	case who.Role == mtls.RoleDevice && t == schemas.UpTopic(schemas.DeviceID(who.ID)):
		return nil
	case who.Role == mtls.RoleBridge && t.Way == schemas.Down:
		return nil
	}
	return fmt.Errorf("topic %q is not for %s to publish", topic, who)
}

// maySubscribe judges one filter of a SUBSCRIBE.
func maySubscribe(who mtls.Identity, filter string) error {
	switch who.Role {
	case mtls.RoleDevice:
		if filter == schemas.DownTopic(schemas.DeviceID(who.ID)).String() {
			return nil
		}
	case mtls.RoleBridge:
		if group, ok := shareGroup(filter); ok && plainWord(group) {
			return nil
		}
	}
	return fmt.Errorf("filter %.120q is not for %s to subscribe", filter, who)
}

// mayReceive judges a delivery. It agrees with maySubscribe by construction of
// the topics; it is asked again for each message all the same.
func mayReceive(who mtls.Identity, topic string) bool {
	t, err := schemas.ParseTopic(topic)
	if err != nil {
		return false
	}
	switch who.Role {
	case mtls.RoleDevice:
		return t == schemas.DownTopic(schemas.DeviceID(who.ID))
	case mtls.RoleBridge:
		return t.Way == schemas.Up
	}
	return false
}

// sharePrefix begins a shared subscription (MQTT 5.0 section 4.8.2), which
// brokers also offer to MQTT 3.1.1 clients.
const sharePrefix = "$share/"

// shareGroup returns the group in a shared subscription to every up topic.
func shareGroup(filter string) (string, bool) {
	_, everyUp, _ := strings.Cut(strings.TrimPrefix(schemas.UpFilter, sharePrefix), "/")
	rest, ok := strings.CutPrefix(filter, sharePrefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "/"+everyUp)
}

// plainWord reports whether s is 1 to 64 characters of [a-z0-9-].
func plainWord(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
