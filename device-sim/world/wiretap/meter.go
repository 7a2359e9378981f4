package wiretap

import (
	"net"
	"sync/atomic"
)

// A Meter counts every byte of connections, whatever they carry: beneath TLS,
// what TLS adds. The zero value is ready to use, concurrently.
type Meter struct{ up, down atomic.Int64 }

// Conn wraps the device's end of a connection.
func (m *Meter) Conn(c net.Conn) net.Conn { return &metered{c, m} }

// Count returns the bytes so far.
func (m *Meter) Count() Count { return Count{m.up.Load(), m.down.Load()} }

type metered struct {
	net.Conn
	meter *Meter
}

func (c *metered) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.meter.up.Add(int64(n))
	return n, err
}

func (c *metered) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.meter.down.Add(int64(n))
	return n, err
}
