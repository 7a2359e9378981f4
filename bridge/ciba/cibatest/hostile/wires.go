package hostile

import (
	"crypto/x509"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// wires are the faults below HTTP: of the first connection, of the one for the
// authentication request, and of the one for the first poll.
func wires() []Group {
	return []Group{
		{"not be reachable, or fail in TLS, before it is asked anything", Unasked, down, []Row{
			{Name: "connection refused", Provider: wired(cibatest.Unreachable(0, 0)), Says: "connection refused"},
			{Name: "root untrusted", Provider: wired(cibatest.EachWire(0, cibatest.Stranger())), Says: "unknown authority"},
			{Name: "certificate expired", Provider: wired(cibatest.EachWire(0, expiredCertificate())), Says: "expired"},
			{Name: "certificate not valid yet", Provider: wired(cibatest.EachWire(0, earlyCertificate())), Says: "not yet valid"},
			{Name: "certificate of another host", Provider: wired(cibatest.EachWire(0, otherCertificate())), Says: "not op.test"},
			{Name: "TLS 1.1 only", Provider: wired(cibatest.EachWire(0, cibatest.OldTLS())), Says: "protocol version"},
			{Name: "no TLS", Provider: wired(cibatest.EachWire(0, cibatest.NoTLS()))},
			{Name: "handshake cut", Provider: wired(cibatest.EachWire(0, cibatest.CutHandshake()))},
			{Name: "handshake never answered", Provider: wired(cibatest.EachWire(0, cibatest.Silence())), After: 10 * time.Second},
			{Name: "connection reset after the handshake", Provider: wired(cibatest.EachWire(0, cibatest.Reset()))},
			{Name: "no HTTP in TLS", Provider: wired(cibatest.EachWire(0, cibatest.Raw("220 mail.test ESMTP\r\n")))},
			{Name: "request: connection refused", Provider: rewired(cibatest.Unreachable(1, 0))},
			{Name: "request: root untrusted", Provider: rewired(cibatest.EachWire(1, cibatest.Stranger()))},
			{Name: "request: certificate expired", Provider: rewired(cibatest.EachWire(1, expiredCertificate()))},
			{Name: "request: TLS 1.1 only", Provider: rewired(cibatest.EachWire(1, cibatest.OldTLS()))},
			{Name: "request: handshake cut", Provider: rewired(cibatest.EachWire(1, cibatest.CutHandshake()))},
			{Name: "request: handshake never answered", Provider: rewired(cibatest.EachWire(1, cibatest.Silence())), After: 10 * time.Second},
		}},
		{"refuse the client's certificate in TLS, before it is asked anything", Unasked, uncertified, []Row{
			{Name: "certificate refused", Provider: wired(cibatest.EachWire(0, cibatest.RefuseCertificate())), Says: "bad certificate"},
			{Name: "request: certificate refused", Provider: rewired(cibatest.EachWire(1, cibatest.RefuseCertificate())), Says: "bad certificate"},
		}},
		{"close the connection at a moment at which it may have read the request", Unasked, lost, []Row{
			{Name: "request: connection reset before it is read", Provider: rewired(cibatest.EachWire(1, cibatest.Reset()))},
			{Name: "request: no HTTP in TLS", Provider: rewired(cibatest.EachWire(1, cibatest.Raw("220 mail.test ESMTP\r\n")))},
			{Name: "request: header without end", Provider: rewired(cibatest.EachWire(1, cibatest.Raw("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 64<<10))))},
			{Name: "request: early hints without end", Provider: rewired(cibatest.EachWire(1, cibatest.Raw(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 4<<10))))},
			{Name: "request: answer cut in the header", Provider: rewired(cibatest.EachWire(1, cibatest.Raw("HTTP/1.1 200 OK\r\nContent-")))},
		}},
		{"lose a connection while a person is waited for", Redeemed, granted, []Row{
			{Name: "poll: connection refused", Provider: polled(cibatest.Unreachable(1, 2))},
			{Name: "poll: root untrusted", Provider: polled(cibatest.OneWire(1, cibatest.Stranger()))},
			{Name: "poll: certificate expired", Provider: polled(cibatest.OneWire(1, expiredCertificate()))},
			{Name: "poll: handshake cut", Provider: polled(cibatest.OneWire(1, cibatest.CutHandshake()))},
			{Name: "poll: connection reset before it is read", Provider: polled(cibatest.OneWire(1, cibatest.Reset()))},
			{Name: "poll: no HTTP in TLS", Provider: polled(cibatest.OneWire(1, cibatest.Raw("220 mail.test ESMTP\r\n")))},
			{Name: "every answer sent twice", Provider: wired(cibatest.EachWire(0, cibatest.Twice()))},
		}},
		{"refuse the client's certificate for a while, while a person is waited for", Redeemed, delayed, []Row{
			{Name: "poll: certificate refused", Provider: polled(cibatest.OneWire(1, cibatest.RefuseCertificate()))},
		}},
		{"not be reachable any more, until the request has expired", Waiting, down, []Row{
			{Name: "poll: connections refused", Provider: polled(cibatest.Unreachable(1, 0)), After: 118 * time.Second},
			{Name: "poll: roots untrusted", Provider: polled(cibatest.EachWire(1, cibatest.Stranger())), After: 118 * time.Second},
		}},
	}
}

func expiredCertificate() cibatest.Wire {
	return cibatest.Certificate(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
}

func earlyCertificate() cibatest.Wire {
	return cibatest.Certificate(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
}

func otherCertificate() cibatest.Wire {
	return cibatest.Certificate(func(c *x509.Certificate) { c.DNSNames = []string{"op.test.evil.test"} })
}

// wired is a provider whose requests all share connection 0 if nothing happens
// to it.
func wired(w cibatest.Wires) *cibatest.Provider { return &cibatest.Provider{Wires: w} }

// rewired is one whose authentication request needs connection 1.
func rewired(w cibatest.Wires) *cibatest.Provider {
	return &cibatest.Provider{Wires: w, Keys: cibatest.Always(cibatest.Hangup())}
}

// polled is one whose first poll needs connection 1.
func polled(w cibatest.Wires) *cibatest.Provider {
	return &cibatest.Provider{Wires: w, Backchannel: cibatest.Always(cibatest.Hangup())}
}
