package schemas_test

import (
	"bytes"
	"testing"

	"github.com/carillon-iot/carillon/schemas"
	"github.com/fxamacker/cbor/v2"
)

// Every fuzzer starts from the vectors, and fails where there are none.

func seedAll(f *testing.F, add func(messageVector), bad func(badVector)) {
	n := 0
	for _, v := range load[messageFile](f, "messages.json").Vectors {
		add(v)
		n++
	}
	for _, file := range []string{"bad-envelopes.json", "bad-payloads.json", "bad-times.json", "bad-senders.json"} {
		for _, v := range load[badFile](f, file).Vectors {
			bad(v)
			n++
		}
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
}

func isUp(s string) bool { return s[len(s)-1] == 'p' }

// FuzzParse: what is taken apart can be put together again, byte for byte, and
// is never verified by a certificate that did not sign it.
func FuzzParse(f *testing.F) {
	seedAll(f, func(v messageVector) { f.Add(isUp(v.Topic), []byte(v.Message)) },
		func(v badVector) { f.Add(isUp(v.Topic), []byte(v.Message)) })
	cert := loadSigning(f)["device-1"].cert
	vectors := map[string]bool{}
	for _, v := range load[messageFile](f, "messages.json").Vectors {
		vectors[string(v.Message[:len(v.Message)-64])] = true
	}
	for _, file := range []string{"bad-envelopes.json", "bad-times.json", "bad-senders.json"} {
		for _, v := range load[badFile](f, file).Vectors {
			if len(v.Message) > 64 {
				vectors[string(v.Message[:len(v.Message)-64])] = true
			}
		}
	}
	f.Fuzz(func(t *testing.T, up bool, data []byte) {
		top := schemas.DownTopic(device1)
		if up {
			top = schemas.UpTopic(device1)
		}
		e, err := schemas.Parse(top, data)
		if err != nil {
			if e != nil || classOf(err) == "" {
				t.Fatalf("envelope %v comes with %v", e, err)
			}
			return
		}
		m := e.Unverified()
		if again := rebuild(e, m, data); !bytes.Equal(again, data) {
			t.Fatalf("encodes to\n%x, was\n%x", again, data)
		}
		got, err := e.Verify(cert)
		if err != nil && (got != nil || classOf(err) == "") {
			t.Fatalf("message %v comes with %v", got, err)
		}
		if err == nil && !vectors[string(data[:len(data)-64])] {
			t.Fatalf("forged: %x", data)
		}
	})
}

// rebuild encodes an envelope from what the package says about it.
func rebuild(e *schemas.Envelope, m schemas.Message, data []byte) []byte {
	// The algorithm is not exported: it is one of two, the first value of the
	// protected header.
	var parts []cbor.RawMessage
	var protected []byte
	if cbor.Unmarshal(data, &parts) != nil || cbor.Unmarshal(parts[0], &protected) != nil {
		return nil
	}
	header := entries{}.with(1, protected[2:3]).with(4, bstr(e.KeyID[:]))
	if len(e.Chain) == 1 {
		header = header.with(33, bstr(e.Chain[0].Raw))
	} else if len(e.Chain) > 1 {
		var ders []item
		for _, c := range e.Chain {
			ders = append(ders, bstr(c.Raw))
		}
		header = header.with(33, arr(ders...))
	}
	payload := try(schemas.MarshalPayload(m))
	return arr(bstr(header.encode()), amap(), bstr(payload), bstr(data[len(data)-64:]))
}

// FuzzPayload: what decodes encodes to the same bytes.
func FuzzPayload(f *testing.F) {
	seedAll(f, func(v messageVector) { f.Add(isUp(v.Topic), []byte(v.Payload)) },
		func(v badVector) { f.Add(isUp(v.Topic), []byte(v.Payload)) })
	f.Fuzz(func(t *testing.T, up bool, data []byte) {
		way := schemas.Down
		if up {
			way = schemas.Up
		}
		m, err := schemas.UnmarshalPayload(way, data)
		if err != nil {
			if m != nil || classOf(err) == "" {
				t.Fatalf("message %v comes with %v", m, err)
			}
			return
		}
		if m.Kind().Way() != way || m.RequestID() == (schemas.ID{}) {
			t.Fatalf("%v with id %v on the way %v", m.Kind(), m.RequestID(), way)
		}
		again, err := schemas.MarshalPayload(m)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("encodes to\n%x (%v), was\n%x", again, err, data)
		}
	})
}

// FuzzOpen gives arbitrary sealed parts to those who open them, and arbitrary
// plaintexts, well sealed. What opens, seals again.
func FuzzOpen(f *testing.F) {
	n := 0
	for _, v := range load[sealedFile](f, "sealed.json").Vectors {
		f.Add(v.As == "grant", true, []byte(v.Sealed))
		f.Add(v.As == "grant", false, []byte(v.Plaintext))
		n++
	}
	for _, v := range load[badFile](f, "bad-sealed.json").Vectors {
		f.Add(v.As == "grant", true, []byte(v.Sealed))
		n++
	}
	for _, s := range [][]byte{amap(num(-27), tstr("anna")), amap(num(-27), tstr("anna"), num(-28), tstr("x")), grantPlain().with(34, num(1)).encode()} {
		f.Add(true, false, s)
		f.Add(false, false, s)
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	k := loadSealing(f)
	f.Fuzz(func(t *testing.T, grant, sealed bool, data []byte) {
		s := goodPrivate()
		if grant {
			s = goodGrant()
		}
		if !sealed {
			s.plaintext = data
			data = s.seal()
		}
		if grant {
			g, err := schemas.OpenGrant(k[s.key], device1, id(2), data)
			if err != nil {
				if g.AccessToken != nil || g.ExpiresIn != 0 || g.Name != "" || classOf(err) == "" {
					t.Fatalf("contents come with %v", err)
				}
				return
			}
			_, err = schemas.SealGrant(k[s.key].Public(), device1, id(2), g)
			if err != nil {
				t.Fatalf("opens, but does not seal: %v", err)
			}
			return
		}
		p, err := schemas.OpenPrivate(k[s.key], device1, id(2), data)
		if err != nil {
			if p != (schemas.Private{}) || classOf(err) == "" {
				t.Fatalf("contents come with %v", err)
			}
			return
		}
		if _, err = schemas.SealPrivate(k[s.key].Public(), device1, id(2), p); err != nil {
			t.Fatalf("opens, but does not seal: %v", err)
		}
	})
}

// FuzzTopic: a topic has one spelling.
func FuzzTopic(f *testing.F) {
	topics := load[textFile](f, "texts.json").Topics
	if len(topics) == 0 {
		f.Fatal("no seeds")
	}
	for _, v := range topics {
		f.Add(v.Topic)
	}
	f.Fuzz(func(t *testing.T, s string) {
		top, err := schemas.ParseTopic(s)
		if err != nil {
			if top != (schemas.Topic{}) {
				t.Fatalf("topic %v comes with %v", top, err)
			}
			return
		}
		if top.String() != s {
			t.Fatalf("%q is spelt %q", s, top)
		}
		if d, err := schemas.ParseDeviceID(string(top.Device)); err != nil || d != top.Device {
			t.Fatalf("device %q: %v", top.Device, err)
		}
	})
}
