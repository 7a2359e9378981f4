package broker_test

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/broker/brokertest"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

func TestStopEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		session := connect(t, b, b.Authority.Device("d1"))
		silent := secure(t, b, b.Authority.Device("d2"))
		tcp, err := b.DialTCP(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		b.Kill() // fails the test if Run returns an error; the bubble waits for every goroutine
		if d := time.Since(start); d > time.Second {
			t.Errorf("stopping took %v", d)
		}
		for name, c := range map[string]*client{"session": session, "no CONNECT": silent, "no TLS": {t, tcp}} {
			if !c.over(time.Second) {
				t.Errorf("%s: still open", name)
			}
		}
		if _, err := b.DialTCP(t.Context()); err == nil {
			t.Error("still listening")
		}
	})
}

func TestListenerClosedByOthersEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := mtlstest.New(t)
		l := &flaky{errs: []error{fmt.Errorf("accept: too many open files"), fmt.Errorf("again"), net.ErrClosed}}
		b, err := broker.New(broker.Config{
			Listener: l, Logger: slog.New(slog.DiscardHandler),
			TLS: mtls.ServerConfig(authority.Roots(), mtls.Fixed(authority.Broker("x")), nil),
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "listener closed") {
			t.Errorf("Run: %v", err)
		}
		if d := time.Since(start); d == 0 || d > time.Second {
			t.Errorf("two passing errors took %v", d)
		}
	})
}

// flaky is a listener that only fails.
type flaky struct{ errs []error }

func (l *flaky) Accept() (net.Conn, error) {
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}
func (l *flaky) Close() error   { return nil }
func (l *flaky) Addr() net.Addr { return &net.TCPAddr{} }
