package schemas_test

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/carillon-iot/carillon/schemas"
)

// hostile are inputs that promise more than they hold, or hold as much as is
// allowed.
func hostile() map[string][]byte {
	g := &generator{keys: newKeyring()}
	full := func(protected item) item {
		e := g.upEnvelope(helloPayload())
		e.protected = protected
		return g.sign(e)
	}
	cert := bstr(g.keys.signing["intermediate"].cert.Raw)
	garbage := bstr(append(item{0x30, 0x82, 0x07, 0xfc}, bytes.Repeat(item{0x30, 0x02, 0x05, 0x00}, 511)...))
	long := bstr(make([]byte, 2047))
	many := make([]item, 0, 16)
	for i := range 16 {
		many = append(many, tstr(string(bytes.Repeat([]byte{'a' + byte(i)}, 500))), cborTrue)
	}
	return map[string][]byte{
		"array of 2^32":         {0x9a, 0xff, 0xff, 0xff, 0xff},
		"array of 2^63":         {0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"array of 2^64-1":       {0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"map of 2^32":           {0xba, 0xff, 0xff, 0xff, 0xff},
		"bytes of 2^31":         {0x84, 0x5a, 0x7f, 0xff, 0xff, 0xff},
		"bytes of 2^63":         {0x84, 0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"text of 2^64-1":        {0x84, 0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"arrays in arrays":      bytes.Repeat([]byte{0x81}, schemas.MaxUp),
		"maps in maps":          bytes.Repeat([]byte{0xa1, 0x01}, schemas.MaxUp/2),
		"tags in tags":          bytes.Repeat([]byte{0xc1}, schemas.MaxUp),
		"sixteens of sixteens":  bytes.Repeat([]byte{0x90}, schemas.MaxUp),
		"zeros":                 make([]byte, schemas.MaxUp),
		"larger than allowed":   make([]byte, 1<<20),
		"sixteen long keys":     full(amap(many...)),
		"four certificates":     full(g.header("device-1").with(33, arr(cert, cert, cert, cert)).encode()),
		"certificate of stubs":  full(g.header("device-1").with(33, garbage).encode()),
		"three long byte parts": arr(long, long, long, bstr(make([]byte, 64))),
	}
}

// Before anything is known about who sent a message, it must be cheap: the
// memory that Parse takes is bounded by the size of the message.
func TestHostileInputIsCheap(t *testing.T) {
	inputs := hostile()
	for _, file := range []string{"bad-envelopes.json", "bad-payloads.json"} {
		for _, v := range load[badFile](t, file).Vectors {
			inputs[v.Name] = v.Message
		}
	}
	for _, v := range load[messageFile](t, "messages.json").Vectors {
		inputs[v.Name] = v.Message
	}
	worst, worstName := 0.0, ""
	for name, data := range inputs {
		top := schemas.UpTopic(device1)
		n := allocated(func() { schemas.Parse(top, data) })
		if limit := 16<<10 + 12*len(data); n > limit && len(data) <= schemas.MaxUp {
			t.Errorf("%s: %d bytes make Parse allocate %d, limit %d", name, len(data), n, limit)
		}
		if len(data) > schemas.MaxDown && n > 1<<10 {
			t.Errorf("%s: %d bytes are too many, and %d were allocated to find out", name, len(data), n)
		}
		if ratio := float64(n) / float64(len(data)+512); ratio > worst {
			worst, worstName = ratio, name
		}
	}
	t.Logf("worst of %d inputs: %s, %.1f bytes allocated for each of its own (and 512)", len(inputs), worstName, worst)
}

// allocated returns the bytes that one call of f allocates.
func allocated(f func()) int {
	f() // the codec prepares its types once
	const runs = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc-before.TotalAlloc) / runs
}
