//go:build unix

package ciba_test

import (
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest/bare"
)

// BenchmarkSignIn compares a whole sign-in (backchannel authentication request,
// token request, everything verified) with bare loops that make the same two
// requests over the same connection: "bare" verifies the ID token's signature
// and nothing else, "blind" not even that. The provider is another process on
// this machine, reached over TLS. The three alternate, so that the ratios do not
// depend on the machine's mood: "x-bare" and "x-blind" are ratios of the times
// that one in ten stays below, and "cpu-x-bare" and "cpu-x-blind" of what this
// process spent.
func BenchmarkSignIn(b *testing.B) {
	for _, version := range []string{"1.1", "2"} {
		b.Run("HTTP="+version, func(b *testing.B) {
			issuer, hc := startBenchPeer(b, version)
			loop := bare.Loop{HTTP: hc, Issuer: issuer, Key: must(bare.Key(b.Context(), hc, issuer))}
			blind := bare.Loop{HTTP: hc, Issuer: issuer}
			client := benchClient(b, issuer, hc)
			var ours, verifying, nothing stopwatch
			for b.Loop() {
				nothing.time(func() { signInBare(b, blind) })
				verifying.time(func() { signInBare(b, loop) })
				ours.time(func() { signInNow(b, client) })
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ours.decile()*1e6, "us/sign-in")
			b.ReportMetric(ours.decile()/verifying.decile(), "x-bare")
			b.ReportMetric(ours.decile()/nothing.decile(), "x-blind")
			b.ReportMetric(ours.cpu.Seconds()*1e6/float64(b.N), "cpu-us/sign-in")
			b.ReportMetric(float64(ours.cpu)/float64(verifying.cpu), "cpu-x-bare")
			b.ReportMetric(float64(ours.cpu)/float64(nothing.cpu), "cpu-x-blind")
		})
	}
}

func signInBare(b *testing.B, l bare.Loop) {
	b.Helper()
	if err := l.SignIn(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// A stopwatch adds up what something takes.
type stopwatch struct {
	wall []time.Duration
	cpu  time.Duration // of the whole process
}

func (s *stopwatch) time(f func()) {
	cpu, start := cpuTime(), time.Now()
	f()
	s.wall = append(s.wall, time.Since(start))
	s.cpu += cpuTime() - cpu
}

// decile is in seconds. Unlike a mean it does not see what else the machine did.
func (s *stopwatch) decile() float64 {
	slices.Sort(s.wall)
	return s.wall[len(s.wall)/10].Seconds()
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchClient(b *testing.B, issuer string, hc *http.Client) *ciba.Client {
	b.Helper()
	return newClient(b, &cibatest.Provider{Issuer: issuer}, func(cfg *ciba.Config) { cfg.HTTPClient = hc })
}

// BenchmarkClient and BenchmarkBlind show the allocations of each, without the
// provider's.
func BenchmarkClient(b *testing.B) {
	issuer, hc := startBenchPeer(b, "1.1")
	client := benchClient(b, issuer, hc)
	signInNow(b, client)
	b.ReportAllocs()
	for b.Loop() {
		signInNow(b, client)
	}
}

func BenchmarkBlind(b *testing.B) {
	issuer, hc := startBenchPeer(b, "1.1")
	l := bare.Loop{HTTP: hc, Issuer: issuer}
	signInBare(b, l)
	b.ReportAllocs()
	for b.Loop() {
		signInBare(b, l)
	}
}

// BenchmarkVerifyIDToken is what a sign-in cannot do without, by the algorithm
// that the provider signs with.
func BenchmarkVerifyIDToken(b *testing.B) {
	for _, alg := range []string{"ES256", "EdDSA", "PS256"} {
		b.Run(alg, func(b *testing.B) {
			op := quick()
			op.Algorithm = alg
			client := newClient(b, op)
			ack := ring(b, client, anna())
			tokens, err := client.RequestToken(b.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.VerifyIDToken(b.Context(), tokens.IDToken.Raw, ciba.Expect{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPoll(b *testing.B) {
	pending := oauthError(400, ciba.CodeAuthorizationPending)
	poll := ciba.NewPoll(ciba.Acknowledgement{ExpiresIn: time.Hour, Interval: time.Second}, epoch)
	b.ReportAllocs()
	for b.Loop() {
		poll.After(epoch, epoch, pending)
	}
}
