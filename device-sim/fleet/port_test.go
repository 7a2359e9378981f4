package fleet

import (
	"net"
	"strconv"
	"testing"
)

// No part listens where the system might put a device's end of a connection.
func TestFreeAddress(t *testing.T) {
	seen := map[string]bool{}
	for range 20 {
		address, err := freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := strconv.Atoi(port); err != nil || host != "127.0.0.1" || n < lowestPort || n >= firstEphemeral() {
			t.Errorf("address %q", address)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("somebody listens at %q: %v", address, err)
			continue
		}
		defer l.Close()
		if seen[address] {
			t.Errorf("address %q twice", address)
		}
		seen[address] = true
	}
}
