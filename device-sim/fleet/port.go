package fleet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// loopback is where everything of a fleet's own listens.
const loopback = "127.0.0.1"

// Ports are looked for from lowestPort up to those that the system gives to
// connections, which begin at 32768 unless it says otherwise.
const (
	lowestPort       = 15000
	defaultEphemeral = 32768
)

// freeAddress returns an address on loopback at which nobody listens, for a part
// that will, again and again.
//
// It is none that the system might give to a connection: while a part is dead,
// thousands of devices dial it, and one of them would be given the very port
// that it dials, be connected with itself, and keep the part from coming back.
func freeAddress() (string, error) {
	below := firstEphemeral()
	if below < lowestPort+1000 {
		return "", fmt.Errorf("the system gives ports from %d on to connections: too few are left below", below)
	}
	for range 200 {
		address := net.JoinHostPort(loopback, strconv.Itoa(lowestPort+rand.IntN(below-lowestPort)))
		l, err := net.Listen("tcp", address)
		if err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port was found")
}

// firstEphemeral is the first port that connections are given (ip(7),
// ip_local_port_range).
func firstEphemeral() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	var first int
	if err == nil {
		_, err = fmt.Sscan(string(text), &first)
	}
	if err != nil {
		return defaultEphemeral
	}
	return first
}
