package schemas

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strings"
)

// UpFilter is what bridges subscribe: every device's up topic, each message
// to one member of the group (MQTT shared subscription).
const UpFilter = "$share/bridge/" + prefix + "+/up"

// UpFilterOf is UpFilter for a group of another name, 1 to 64 characters of
// [a-z0-9-]. A broker that cannot keep devices out of a group calls for a name
// that they cannot guess.
func UpFilterOf(group string) (string, error) {
	if _, err := ParseDeviceID(group); err != nil { // the same alphabet and length
		return "", fmt.Errorf("group %.80q, want 1 to %d characters of a-z, 0-9 and '-'", group, maxDeviceIDLen)
	}
	return "$share/" + group + "/" + prefix + "+/up", nil
}

const (
	prefix         = "carillon/v1/"
	maxDeviceIDLen = 64
)

// A DeviceID names one device on the wire. It is 1 to 64 characters of
// [a-z0-9-], chosen at random at the factory: never a VIN or a serial number,
// because the broker sees it.
type DeviceID string

var deviceIDEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewDeviceID returns a random id of 16 characters (80 bits).
func NewDeviceID() DeviceID {
	var b [10]byte
	rand.Read(b[:])
	return DeviceID(deviceIDEncoding.EncodeToString(b[:]))
}

// ParseDeviceID checks the alphabet and the length of a device id.
func ParseDeviceID(s string) (DeviceID, error) {
	if s == "" || len(s) > maxDeviceIDLen {
		return "", fmt.Errorf("device id %.80q has %d characters, want 1 to %d", s, len(s), maxDeviceIDLen)
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return "", fmt.Errorf("device id %q contains %q, want only a-z, 0-9 and '-'", s, r)
		}
	}
	return DeviceID(s), nil
}

// A Way is the direction of a message: Up from the device, Down to it.
type Way uint8

// The two ways.
const (
	Up Way = iota + 1
	Down
)

func (w Way) String() string {
	switch w {
	case Up:
		return "up"
	case Down:
		return "down"
	}
	return fmt.Sprintf("way %d", uint8(w))
}

// A Topic is one of the two MQTT topics of a device. Its string form is the
// external_aad of every signature, so that a message is worthless on any
// other topic.
type Topic struct {
	Device DeviceID
	Way    Way
}

// UpTopic is the topic a device publishes to.
func UpTopic(d DeviceID) Topic { return Topic{d, Up} }

// DownTopic is the topic a device subscribes to.
func DownTopic(d DeviceID) Topic { return Topic{d, Down} }

// String returns carillon/v1/{device}/up or …/down.
func (t Topic) String() string { return prefix + string(t.Device) + "/" + t.Way.String() }

// ParseTopic accepts exactly what String produces.
func ParseTopic(s string) (Topic, error) {
	rest, ok := strings.CutPrefix(s, prefix)
	device, way, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return Topic{}, fmt.Errorf("topic %.120q is not %s{device}/up or /down", s, prefix)
	}
	id, err := ParseDeviceID(device)
	if err != nil {
		return Topic{}, fmt.Errorf("topic %.120q: %w", s, err)
	}
	switch way {
	case "up":
		return UpTopic(id), nil
	case "down":
		return DownTopic(id), nil
	}
	return Topic{}, fmt.Errorf("topic %.120q ends in %q, want \"up\" or \"down\"", s, way)
}
