package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/carillon-iot/carillon/device-sim/world"
	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
	"github.com/carillon-iot/carillon/schemas"
)

// The wait that is compared: two minutes at the interval of RFC 8628.
const (
	flowWait     = 2 * time.Minute
	flowInterval = 5 * time.Second
	flowPolls    = int(flowWait / flowInterval)
	// pings of MQTT's keep alive in that time: two, each 2 bytes and its answer
	// of 2, in TLS records of 22 bytes more.
	pingsMQTT = 2 * (2 + 2)
	pingsTLS  = pingsMQTT + 2*2*22
)

// BenchmarkSignIn measures what a sign-in of a person whom the car knows costs
// on the radio, from the request to the receipt, and beside it the same sign-in
// with the device flow of RFC 8628, both for a person who takes two minutes.
// Carillon waits for real only as long as the provider's interval makes it; the
// keep alive of two minutes is added. The device flow is asked 24 times in a
// row: its bytes do not depend on the time between.
//
//	mqtt-B     Carillon, MQTT packets
//	tcp-B      Carillon, with TLS around them
//	kept-B     device flow, with TLS, on one HTTP/2 connection that was open already
//	dialled-B  the same, and the handshake of that one connection
//	redial-B   the same, with a handshake for each poll
//	kept/x     kept-B as a multiple of tcp-B; dialled/x and redial/x likewise
func BenchmarkSignIn(b *testing.B) {
	v := benchWorld(b)
	var mqtt, tcp int64
	for b.Loop() {
		m, t := measure(b, v)
		mqtt, tcp = mqtt+m, tcp+t
	}
	n := int64(b.N)
	mqtt, tcp = mqtt/n+pingsMQTT, tcp/n+pingsTLS
	kept, dialled, redial := rivals(b)
	b.ReportMetric(float64(mqtt), "mqtt-B")
	b.ReportMetric(float64(tcp), "tcp-B")
	b.ReportMetric(kept, "kept-B")
	b.ReportMetric(dialled, "dialled-B")
	b.ReportMetric(redial, "redial-B")
	b.ReportMetric(kept/float64(tcp), "kept/x")
	b.ReportMetric(dialled/float64(tcp), "dialled/x")
	b.ReportMetric(redial/float64(tcp), "redial/x")
	if mqtt > budget {
		b.Errorf("a sign-in costs %d bytes of MQTT, the budget is %d", mqtt, budget)
	}
}

// BenchmarkRequest compares the bytes of the sign-in itself, as it was on the
// wire, with the same statements as an ES256 JWS.
func BenchmarkRequest(b *testing.B) {
	v := benchWorld(b)
	var cose, jws int
	for b.Loop() {
		measure(b, v)
		raw, _ := v.car.Sent(schemas.KindSignIn)
		cose, jws = len(raw), len(asJWS(b, v.car.Device, raw))
	}
	b.ReportMetric(float64(cose), "cose-B")
	b.ReportMetric(float64(jws), "jws-B")
	b.ReportMetric(float64(jws)/float64(cose), "jws/x")
}

// benchWorld is a world in which the blue car knows Anna.
func benchWorld(b *testing.B) *visit {
	b.Helper()
	w, err := world.Start(b.Context(), world.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := w.Close(); err != nil {
			b.Error(err)
		}
	})
	v := &visit{flags: worldFlags{person: "anna", scope: "seat climate"}, world: w, car: w.Car("blue")}
	measure(b, v)
	return v
}

// measure signs in and out, and returns the bytes of the sign-in.
func measure(b *testing.B, v *visit) (mqtt, tcp int64) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	before := v.car.Carrier.Count()
	spent, _, err := v.signIn(ctx)
	if err != nil {
		b.Fatal(err)
	}
	carried := v.car.Carrier.Count().Sub(before)
	if err := v.signOut(ctx); err != nil {
		b.Fatal(err)
	}
	return spent.Up + spent.Down, carried.Up + carried.Down
}

func rivals(b *testing.B) (kept, dialled, redial float64) {
	b.Helper()
	s := newDeviceServer(b)
	sum := func(c wiretap.Count) float64 { return float64(c.Up + c.Down) }
	d := newFlowDevice(s)
	one, err := d.signIn(s, flowPolls, false)
	if err != nil {
		b.Fatal(err)
	}
	d.hangUp()
	d = newFlowDevice(s)
	each, err := d.signIn(s, flowPolls, true)
	if err != nil {
		b.Fatal(err)
	}
	d.hangUp()
	return sum(one.total) - sum(one.handshake), sum(one.total), sum(each.total)
}

// asJWS says what a sign-in says in JSON under ES256, with the short names of
// JWT and binary values in base64url.
func asJWS(b *testing.B, device schemas.DeviceID, raw []byte) string {
	b.Helper()
	e, err := schemas.Parse(schemas.UpTopic(device), raw)
	if err != nil {
		b.Fatal(err)
	}
	m, ok := e.Unverified().(*schemas.SignIn)
	if !ok || m.Person == nil {
		b.Fatalf("a %v that names no person the car knows", e.Unverified().Kind())
	}
	text := base64.RawURLEncoding.EncodeToString
	claims, err := json.Marshal(map[string]any{
		"typ": "sign-in", "jti": text(m.ID[:]), "iat": m.IssuedAt, "scope": m.Scope, "person": text(m.Person[:]), "device": m.Device,
		"aud": schemas.UpTopic(device).String(),
		"key": map[string]string{"kty": "OKP", "crv": "X25519", "x": text(m.ResponseKey[:])},
	})
	if err != nil {
		b.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	opts := (&jose.SignerOptions{}).WithHeader("kid", text(e.KeyID[:]))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, opts)
	if err != nil {
		b.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		b.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		b.Fatal(err)
	}
	return compact
}
