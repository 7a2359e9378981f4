package wiretap

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/carillon-iot/carillon/schemas"
)

// Type is an MQTT control packet type (MQTT 3.1.1 section 2.2.1).
type Type byte

// Publish is the type of a packet that carries a message.
const Publish Type = 3

var typeNames = [...]string{
	1: "CONNECT", 2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP", 8: "SUBSCRIBE",
	9: "SUBACK", 10: "UNSUBSCRIBE", 11: "UNSUBACK", 12: "PINGREQ", 13: "PINGRESP", 14: "DISCONNECT",
}

// String returns the name in capitals, as the standard writes it.
func (t Type) String() string {
	if t == 0 || int(t) >= len(typeNames) {
		return fmt.Sprintf("packet type %d", byte(t))
	}
	return typeNames[t]
}

// Connects reports whether a packet of this type makes a connection or a
// subscription: CONNECT, SUBSCRIBE and their answers.
func (t Type) Connects() bool { return t == 1 || t == 2 || t == 8 || t == 9 }

// maxPacket bounds what is kept of one packet; Carillon's are far smaller.
const maxPacket = 1 << 20

var errNotMQTT = errors.New("what passes is not MQTT, or a packet of more than 1 MiB")

// splitter cuts one direction of a connection into packets.
type splitter struct {
	way schemas.Way
	buf []byte
}

// feed takes in bytes and calls each for every packet that is complete. The
// raw bytes are valid until it returns.
func (s *splitter) feed(b []byte, each func(raw []byte, p Packet)) error {
	s.buf = append(s.buf, b...)
	used := 0
	defer func() { s.buf = append(s.buf[:0], s.buf[used:]...) }()
	for {
		n, err := packetLen(s.buf[used:])
		if err != nil {
			return err
		}
		if n == 0 || len(s.buf)-used < n {
			return nil
		}
		raw := s.buf[used : used+n]
		each(raw, describe(s.way, raw))
		used += n
	}
}

// packetLen returns the length of the packet that b begins with, 0 if b is too
// short to tell (section 2.2.3).
func packetLen(b []byte) (int, error) {
	if len(b) < 2 {
		return 0, nil
	}
	length, size := binary.Uvarint(b[1:min(len(b), 5)])
	switch {
	case size == 0 && len(b) < 5:
		return 0, nil
	case size <= 0 || length > maxPacket:
		return 0, errNotMQTT
	}
	return 1 + size + int(length), nil
}

func describe(way schemas.Way, raw []byte) Packet {
	p := Packet{Way: way, Type: Type(raw[0] >> 4), Bytes: len(raw)}
	if p.Type != Publish {
		return p
	}
	_, size := binary.Uvarint(raw[1:])
	body := raw[1+size:]
	if len(body) < 2 {
		return p
	}
	n := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	if qos := raw[0] >> 1 & 3; qos > 0 {
		if len(body) < n+2 {
			return p
		}
		p.Topic, body = string(body[:n]), body[n+2:]
	} else {
		if len(body) < n {
			return p
		}
		p.Topic, body = string(body[:n]), body[n:]
	}
	p.Payload = append([]byte(nil), body...)
	p.Kind = kindOf(p.Topic, p.Payload)
	return p
}

func kindOf(topic string, payload []byte) schemas.Kind {
	t, err := schemas.ParseTopic(topic)
	if err != nil {
		return 0
	}
	e, err := schemas.Parse(t, payload)
	if err != nil {
		return 0
	}
	return e.Unverified().Kind()
}
