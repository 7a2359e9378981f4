package link_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/carillon-iot/carillon/broker/link"
)

// received is a connection on which b has arrived.
type received struct {
	net.Conn
	r io.Reader
}

func (c received) Read(p []byte) (int, error) { return c.r.Read(p) }

const limit = 1000

// through returns the packets that the library would see of b, and the reason
// for the end.
func through(r io.Reader) (seen []packets.ControlPacket, end error) {
	g := link.NewGuard(received{r: r}, limit, func(err error) {
		if end == nil {
			end = err
		}
	})
	for {
		cp, err := packets.ReadPacket(g)
		if err != nil {
			return seen, end
		}
		seen = append(seen, cp)
	}
}

const connack = "\x20\x02\x00\x00"

func TestGuard(t *testing.T) {
	for name, c := range map[string]struct {
		bytes string
		seen  int
		end   string
	}{
		"good":                    {connack + "\xd0\x00\x40\x02\x00\x01\x90\x03\x00\x02\x01\x30\x04\x00\x01a!", 5, "closed"},
		"publish at the limit":    {connack + "\x30\xe8\x07\x00\x01a" + strings.Repeat("x", limit-3), 2, "closed"},
		"publish over the limit":  {connack + "\x30\xe9\x07\x00\x01a" + strings.Repeat("x", limit-2), 1, "1001 bytes, want at most 1000"},
		"256 MiB":                 {connack + "\x30\xff\xff\xff\x7f", 1, "268435455 bytes"},
		"length of five bytes":    {connack + "\x30\x80\x80\x80\x80\x01", 1, "more than 4 bytes"},
		"QoS 2":                   {connack + "\x34\x05\x00\x01a\x00\x01", 1, "QoS 2"},
		"QoS 3":                   {connack + "\x36\x05\x00\x01a\x00\x01", 1, "QoS 3"},
		"too many SUBACK codes":   {connack + "\x90\x04\x00\x01\x01\x01", 1, "4 bytes, want 3"},
		"SUBACK without codes":    {connack + "\x90\x02\x00\x01", 1, "2 bytes, want 3"},
		"long PUBACK":             {connack + "\x40\x03\x00\x01\x00", 1, "3 bytes, want 2"},
		"PINGRESP with content":   {connack + "\xd0\x01\x00", 1, "1 bytes, want 0"},
		"publish before CONNACK":  {"\x30\x04\x00\x01a!", 0, "want a CONNACK first"},
		"second CONNACK":          {connack + connack, 1, "a second CONNACK"},
		"a CONNECT":               {connack + "\x10\x00", 1, "nothing that this client has asked for"},
		"a PUBREL":                {connack + "\x62\x02\x00\x01", 1, "nothing that this client has asked for"},
		"type 0":                  {connack + "\x00\x00", 1, "nothing that this client has asked for"},
		"type 15":                 {connack + "\xf0\x00", 1, "nothing that this client has asked for"},
		"DISCONNECT":              {connack + "\xe0\x00", 1, "ended the session"},
		"refused":                 {"\x20\x02\x00\x05", 0, "code 5: not authorized"},
		"refused, unknown code":   {"\x20\x02\x00\x8a", 0, "code 138: not a code of MQTT 3.1.1"},
		"session present":         {"\x20\x02\x01\x00", 1, "closed"},
		"long CONNACK":            {"\x20\x03\x00\x00\x00", 0, "3 bytes, want 2"},
		"nothing":                 {"", 0, "closed"},
		"HTTP":                    {"HTTP/1.1 400 Bad Request\r\n", 0, "want a CONNACK first"},
		"a broken PUBLISH passes": {connack + "\x30\x01\x00", 1, ""},
	} {
		for how, r := range map[string]io.Reader{
			"whole":  strings.NewReader(c.bytes),
			"pieces": iotest.OneByteReader(strings.NewReader(c.bytes)),
		} {
			seen, end := through(r)
			if len(seen) != c.seen {
				t.Errorf("%s, %s: %d packets seen, want %d", name, how, len(seen), c.seen)
			}
			if c.end != "" && (end == nil || !strings.Contains(end.Error(), c.end)) {
				t.Errorf("%s, %s: ended with %v, want %q", name, how, end, c.end)
			}
		}
	}
}

// Whatever a broker sends, the library neither panics nor sees a packet beyond
// the limits, and pieces make no difference.
func FuzzGuard(f *testing.F) {
	f.Add([]byte(connack + "\x30\x04\x00\x01a!\xd0\x00"))
	f.Add([]byte(connack + "\x90\x03\x00\x01\x80\x40\x02\x00\x01"))
	f.Add([]byte("\x20\x02\x00\x05"))
	f.Add([]byte(connack + "\x32\xff\xff\x7f\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		seen, end := through(bytes.NewReader(b))
		for _, cp := range seen {
			switch cp := cp.(type) {
			case *packets.PublishPacket:
				if len(cp.TopicName)+len(cp.Payload) > limit || cp.Qos > 1 {
					t.Errorf("passed a PUBLISH of %d bytes, QoS %d", len(cp.Payload), cp.Qos)
				}
			case *packets.SubackPacket:
				if len(cp.ReturnCodes) != 1 {
					t.Errorf("passed a SUBACK with %d codes", len(cp.ReturnCodes))
				}
			case *packets.ConnackPacket:
				if cp.ReturnCode != 0 {
					t.Errorf("passed a CONNACK with code %d", cp.ReturnCode)
				}
			case *packets.PubackPacket, *packets.PingrespPacket:
			default:
				t.Errorf("passed a %T", cp)
			}
		}
		again, end2 := through(iotest.OneByteReader(bytes.NewReader(b)))
		if len(again) < len(seen) || (end == nil) != (end2 == nil) {
			t.Errorf("whole: %d packets, %v; in pieces: %d packets, %v", len(seen), end, len(again), end2)
		}
	})
}

// A bad packet ends the connection and not the link.
func TestBadPacketEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{serve: func(p *peer) {
			p.accept()
			p.raw(0x90, 4, 0, 1, 1, 1)
			p.next()
		}}
		j := make(journal, 10)
		l := run(t, link.Config{Dial: b.dial, OnUp: j.up, OnDown: j.down})
		j.expect(t, "up")
		j.expect(t, "down: the broker sent a bad packet")
		var bad *link.ProtocolError
		if s := l.Status(); !errors.As(s.Err, &bad) || bad.Packet != 0x90 {
			t.Errorf("status %+v", s)
		}
		b.answer(good)
		j.expect(t, "up")
		time.Sleep(time.Hour)
		if s := l.Status(); s.State != link.Up {
			t.Errorf("status %+v", s)
		}
	})
}
