package wiretap_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
	"github.com/carillon-iot/carillon/schemas"
)

const device = schemas.DeviceID("blue")

// publish is an MQTT PUBLISH with QoS 1.
func publish(topic string, payload []byte) []byte {
	body := append([]byte{0, byte(len(topic))}, topic...)
	body = append(append(body, 0, 7), payload...)
	head := []byte{0x32}
	for n := len(body); ; {
		digit := byte(n % 128)
		if n /= 128; n > 0 {
			digit |= 128
		}
		head = append(head, digit)
		if n == 0 {
			return append(head, body...)
		}
	}
}

func signer(t testing.TB) *schemas.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s, err := schemas.NewSigner(key, []*x509.Certificate{cert})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func message(t testing.TB, s *schemas.Signer, topic schemas.Topic, m schemas.Message) []byte {
	t.Helper()
	b, err := s.Sign(topic, m)
	if err != nil {
		t.Fatal(err)
	}
	return publish(topic.String(), b)
}

// downstream returns what a device reads when the broker has written stream
// and gone.
func downstream(t testing.TB, tap *wiretap.Tap, stream []byte) []byte {
	t.Helper()
	c := tap.Conn(fixed{r: iotest.OneByteReader(bytes.NewReader(stream))})
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// fixed is a connection that reads from r and swallows what is written.
type fixed struct {
	net.Conn
	r io.Reader
}

func (f fixed) Read(b []byte) (int, error)  { return f.r.Read(b) }
func (f fixed) Write(b []byte) (int, error) { return len(b), nil }
func (f fixed) Close() error                { return nil }

// One message of the kind is lost, whole, and nothing else changes.
func TestLoseNext(t *testing.T) {
	s, down := signer(t), schemas.DownTopic(device)
	pending := message(t, s, down, &schemas.Pending{ID: schemas.NewID(), ExpiresIn: 30, Binding: "4K7-P2X"})
	refused := message(t, s, down, &schemas.Refused{ID: schemas.NewID(), IssuedAt: 1, Code: schemas.Expired})
	puback := []byte{0x40, 2, 0, 1}
	stream := slices.Concat(puback, pending, refused, pending, puback)

	var seen []wiretap.Packet
	tap := wiretap.New(func(p wiretap.Packet) { seen = append(seen, p) })
	tap.LoseNext(schemas.KindPending)
	got := downstream(t, tap, stream)
	if want := slices.Concat(puback, refused, pending, puback); !bytes.Equal(got, want) {
		t.Errorf("the device read %d bytes, want %d: the first pending lost and nothing else", len(got), len(want))
	}
	if c := tap.Count(); c.Down != int64(len(stream)) || c.Up != 0 {
		t.Errorf("count %+v, want %d down: what is lost has been sent", c, len(stream))
	}
	var kinds []schemas.Kind
	lost := 0
	for _, p := range seen {
		kinds = append(kinds, p.Kind)
		if p.Lost {
			lost++
		}
	}
	want := []schemas.Kind{0, schemas.KindPending, schemas.KindRefused, schemas.KindPending, 0}
	if !slices.Equal(kinds, want) || lost != 1 || !seen[1].Lost {
		t.Errorf("saw %v, %d lost, want %v, the second lost", kinds, lost, want)
	}
}

// What goes up is described as it is sent, however it is cut into writes.
func TestUp(t *testing.T) {
	s, up := signer(t), schemas.UpTopic(device)
	raw := message(t, s, up, &schemas.Cancel{ID: schemas.NewID()})
	var seen []wiretap.Packet
	tap := wiretap.New(func(p wiretap.Packet) { seen = append(seen, p) })
	c := tap.Conn(fixed{})
	for _, b := range raw {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 1 || seen[0].Kind != schemas.KindCancel || seen[0].Bytes != len(raw) ||
		seen[0].Topic != up.String() || seen[0].Type != wiretap.Publish || seen[0].Way != schemas.Up {
		t.Fatalf("saw %+v, want one cancel of %d bytes", seen, len(raw))
	}
	if !bytes.HasSuffix(raw, seen[0].Payload) {
		t.Error("the payload is not the end of the packet")
	}
	if c := tap.Count(); c.Up != int64(len(raw)) || c.Down != 0 {
		t.Errorf("count %+v, want %d up", c, len(raw))
	}
}

// A read that runs into its deadline can be repeated, and loses nothing.
func TestDeadline(t *testing.T) {
	broker, device := net.Pipe()
	defer broker.Close()
	tap := wiretap.New(nil)
	c := tap.Conn(device)
	defer c.Close()
	ping := []byte{0xd0, 0}
	go broker.Write(ping[:1])
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := c.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("half a packet: error %v, want the deadline", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	go broker.Write(ping[1:])
	got := make([]byte, 8)
	n, err := c.Read(got)
	if err != nil || !bytes.Equal(got[:n], ping) {
		t.Errorf("read %x, error %v, want %x", got[:n], err, ping)
	}
}

func TestCut(t *testing.T) {
	broker, device := net.Pipe()
	defer broker.Close()
	tap := wiretap.New(nil)
	c := tap.Conn(device)
	tap.Cut()
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("after the cut: error %v, want one that the device cannot take for its own doing", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// Whatever a broker sends, the device reads the same bytes, or an error where
// it is no MQTT.
func FuzzTransparent(f *testing.F) {
	s, down := signer(f), schemas.DownTopic(device)
	f.Add(message(f, s, down, &schemas.Pending{ID: schemas.NewID(), ExpiresIn: 30}))
	f.Add([]byte{0x20, 2, 0, 0, 0x90, 3, 0, 1, 1, 0xd0, 0, 0x30})
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		c := wiretap.New(nil).Conn(fixed{r: bytes.NewReader(stream)})
		got, err := io.ReadAll(c)
		if err == nil && !bytes.Equal(got, stream) {
			t.Fatalf("read %x of %x", got, stream)
		}
		if !bytes.HasPrefix(stream, got) {
			t.Fatalf("read %x, which %x does not begin with", got, stream)
		}
	})
}

func TestMeter(t *testing.T) {
	broker, device := net.Pipe()
	defer broker.Close()
	var m wiretap.Meter
	c := m.Conn(device)
	defer c.Close()
	go func() {
		_, _ = io.ReadFull(broker, make([]byte, 5))
		_, _ = broker.Write([]byte("abc"))
	}()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if got := m.Count(); got != (wiretap.Count{Up: 5, Down: 3}) {
		t.Errorf("count %+v, want 5 up and 3 down", got)
	}
}
