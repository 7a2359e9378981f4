package link

import "net"

// NewGuard is the connection as the MQTT library sees it.
func NewGuard(conn net.Conn, limit int, fail func(error)) net.Conn {
	return newGuard(conn, limit, fail)
}
