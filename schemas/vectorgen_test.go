package schemas_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/schemas"
)

var update = flag.Bool("update", false, "write testdata/vectors anew")

// TestVectorsAreCurrent runs the generator and compares what it makes with the
// files; with -update it writes them.
func TestVectorsAreCurrent(t *testing.T) {
	g := &generator{keys: newKeyring()}
	g.messages()
	files := map[string]any{
		"keys.json":          g.keys.file(),
		"messages.json":      messageFile{"Messages that are accepted.", g.out},
		"sealed.json":        sealedFile{"Sealed parts that open.", g.sealed},
		"bad-envelopes.json": badFile{"Messages whose envelope is refused.", g.badEnvelopes()},
		"bad-payloads.json":  badFile{"Messages, correctly signed, whose payload is refused.", g.badPayloads()},
		"bad-sealed.json":    badFile{"Sealed parts that do not open.", g.badSealed()},
		"bad-times.json":     badFile{"Messages, correctly signed, issued outside the window.", g.badTimes()},
		"bad-senders.json":   badFile{"Messages, correctly signed with the key of their chain, whose sender is not to be trusted on their topic.", g.badSenders()},
		"senders.json":       senderFile{"Messages with a chain whose sender is trusted: bounds, clocks and peers.", g.senders()},
		"proofs.json":        proofFile{"DPoP proofs, which both sides build byte for byte.", g.proofs()},
		"texts.json":         texts(),
	}
	for name, content := range files {
		path := filepath.Join(vectorDir, name)
		want := render(content)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator makes: run go test -update, and think about what changed on the wire", path)
		}
	}
}

var jsonKey = regexp.MustCompile(`(?m)^( *")([A-Z]+)(\w*": )`)

// render is JSON with keys in camel case that begin in lower case.
func render(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return jsonKey.ReplaceAllFunc(b.Bytes(), func(m []byte) []byte {
		p := jsonKey.FindSubmatch(m)
		return cat(p[1], bytes.ToLower(p[2]), p[3])
	})
}

// A generator makes the vectors; sealed parts collect as messages use them.
type generator struct {
	keys   *keyring
	sealed []sealedVector
	out    []messageVector
}

// id is a request id that says which vector it belongs to.
func id(n byte) schemas.ID { return schemas.ID{0xc0, 0xff, 0xee, 0x5e, 0xed, 0xab, 0x1e, n} }

func handle(n byte) schemas.Handle {
	return schemas.Handle{0xa1, 0xb2, 0xc3, 0xd4, 0xe5, 0xf6, 0x07, n}
}

// sealRaw makes a COSE_Encrypt0 with a chosen ephemeral key.
func sealRaw(to string, ephemeral string, protected []byte, topic string, id schemas.ID, plaintext []byte) []byte {
	aad := arr(tstr("Encrypt0"), bstr(protected), bstr(cat([]byte(topic), id[:])))
	enc, ct := hpkeSeal(sealingKey(to).PublicKey(), sealingKey(ephemeral), aad, plaintext)
	return arr(bstr(protected), amap(num(-4), bstr(enc)), bstr(ct))
}

// seal is a sealed part, also recorded as a vector.
func (g *generator) seal(name, comment, as, to, topic string, id schemas.ID, plaintext entries) []byte {
	protected := amap(num(1), num(41))
	if as == "private" {
		kid := sealingPublic(to).ID()
		protected = amap(num(1), num(41), num(4), bstr(kid[:]))
	}
	ephemeral := "ephemeral " + name
	sealed := sealRaw(to, ephemeral, protected, topic, id, plaintext.encode())
	g.sealed = append(g.sealed, sealedVector{
		Name: name, Comment: comment, As: as, Key: to, Topic: topic, ID: id[:], Ephemeral: seed(ephemeral),
		AAD:       arr(tstr("Encrypt0"), bstr(protected), bstr(cat([]byte(topic), id[:]))),
		Plaintext: plaintext.encode(), Sealed: sealed, Diagnostic: diagnose(plaintext.encode()),
	})
	return sealed
}

// add signs a message and records it.
func (g *generator) add(name, comment, signer string, d schemas.DeviceID, m schemas.Message) {
	topic := schemas.Topic{Device: d, Way: m.Kind().Way()}
	data := try(g.keys.signer(signer).Sign(topic, m))
	id := m.RequestID()
	v := messageVector{Name: name, Comment: comment, Type: m.Kind().String(), Topic: topic.String(), Signer: signer,
		ID: id[:], Payload: try(schemas.MarshalPayload(m)), Message: data, Diagnostic: diagnose(data)}
	switch m.(type) {
	case *schemas.SignIn, *schemas.Renew, *schemas.SignOut:
		v.FreshFrom, v.FreshUntil = issued-60, issued+300
	}
	g.out = append(g.out, v)
}

func (g *generator) proofs() []proofVector {
	claims := schemas.ProofClaims{Device: device1, ID: id(2), Number: 0, Endpoint: "https://op.example.com/token", IssuedAt: issued}
	claims2 := schemas.ProofClaims{Device: device2, ID: id(3), Number: 65535, Endpoint: "https://op.example.com:8443/realms/fleet/token", IssuedAt: issued + 25, Nonce: "eyJ7S_zG.eyJH0-Z!HX4w~7v"}
	third := claims
	third.Number, third.IssuedAt = 2, issued+10
	return []proofVector{
		g.proof("es256", "the first proof of a request", "device-1", claims),
		g.proof("es256-third", "the third proof of the same request, planned ten seconds later: only jti and iat differ", "device-1", third),
		g.proof("eddsa-nonce", "Ed25519, a nonce, and the highest number", "device-2", claims2),
	}
}

func (g *generator) proof(name, comment, signer string, c schemas.ProofClaims) proofVector {
	key := g.keys.signing[signer].key
	input := try(schemas.ProofInput(key.Public(), c))
	header, payload, _ := strings.Cut(string(input), ".")
	sig := rawSignature(key, input)
	v := proofVector{Name: name, Comment: comment, Signer: signer, Device: string(c.Device), ID: c.ID[:], Number: c.Number,
		Endpoint: c.Endpoint, IssuedAt: c.IssuedAt, Nonce: c.Nonce, Thumbprint: try(schemas.Thumbprint(key.Public())),
		Header: string(unb64(header)), Claims: string(unb64(payload)), Input: string(input), Signature: sig,
		Proof: string(input) + "." + base64.RawURLEncoding.EncodeToString(sig)}
	var p struct{ JTI string }
	if err := json.Unmarshal([]byte(v.Claims), &p); err != nil {
		panic(err)
	}
	v.JTI = p.JTI
	return v
}

func unb64(s string) []byte { return try(base64.RawURLEncoding.DecodeString(s)) }

// signatures concatenates those of count proofs, as a proof message does.
func (g *generator) signatures(signer string, c schemas.ProofClaims, count int, interval uint64) []byte {
	key := g.keys.signing[signer].key
	var out []byte
	for range count {
		out = append(out, rawSignature(key, try(schemas.ProofInput(key.Public(), c)))...)
		c.Number++
		c.IssuedAt += interval
	}
	return out
}

func confirmKey(k *signingKey) *schemas.ConfirmKey { return try(schemas.NewConfirmKey(k.key.Public())) }
