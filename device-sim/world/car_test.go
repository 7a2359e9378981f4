package world

import (
	"context"
	"crypto"
	"crypto/x509"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// Whoever asks while the broker is away does not wait for the link's own next
// attempt.
func TestCarHurries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := mtlstest.New(t)
		cfg := carConfig{
			name: "blue", dir: t.TempDir(), roots: ca.Roots(),
			broker: "127.0.0.1:0", settings: "https://127.0.0.1:0/", // where nobody can listen
			clock: time.Now, journal: newJournal(nil), logger: slog.New(slog.DiscardHandler),
		}
		c, err := newCar(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		cert := ca.Device(string(c.Device))
		if err := c.files.Store(cert.PrivateKey.(crypto.Signer), []*x509.Certificate{cert.Leaf, ca.Intermediate}); err != nil {
			t.Fatal(err)
		}
		if err := c.fit(cfg); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.run(ctx) }()
		synctest.Wait() // no time passes in this test
		if got := c.link.Status().Failures; got != 1 {
			t.Errorf("%d attempts to connect, want the first", got)
		}
		if _, err := c.Ask(ctx, Ask{Hint: "anna@example.com", Scope: "seat"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := c.link.Status().Failures; got != 2 {
			t.Errorf("%d attempts to connect when somebody waits, want a second one at once", got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
