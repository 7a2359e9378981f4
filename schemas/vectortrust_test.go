package schemas_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// What a receiver does with the chain of a hello or a welcome, by section 3 of
// README.md and nothing else.

// trust judges a chain: to the root, and to the identity that the topic asks
// for.
func trust(e *schemas.Envelope, keys map[string]signing, now time.Time) error {
	_, err := judge(e.Topic, e.Chain, keys["root"].cert, now)
	return err
}

// judge returns the verified path, leaf first.
func judge(on schemas.Topic, chain []*x509.Certificate, root *x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	leaf := chain[0]
	if on.Way == schemas.Down { // a device does not know the time
		for _, c := range chain {
			if now.Before(c.NotBefore) {
				now = c.NotBefore
			}
		}
	}
	roots, helpers := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, c := range chain[1:] {
		helpers.AddCert(c)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: helpers, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, err
	}
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return nil, errors.New("no clientAuth")
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, errors.New("no digitalSignature")
	}
	if err := canSign(leaf); err != nil {
		return nil, err
	}
	return paths[0], identified(on, leaf)
}

func canSign(leaf *x509.Certificate) error {
	switch k := leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return nil
		}
	case ed25519.PublicKey:
		return nil
	}
	return errors.New("the key is neither P-256 nor Ed25519")
}

// identified compares the identity of a leaf with the topic.
func identified(on schemas.Topic, leaf *x509.Certificate) error {
	const prefix = "urn:carillon:"
	var ours []string
	for _, u := range leaf.URIs {
		if s := u.String(); len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
			ours = append(ours, s)
		}
	}
	if len(ours) != 1 {
		return fmt.Errorf("%d identities", len(ours))
	}
	var names []string
	for _, n := range leaf.Subject.Names {
		if n.Type.String() == "2.5.4.3" {
			names = append(names, fmt.Sprint(n.Value))
		}
	}
	id := string(on.Device)
	role := "device:"
	if on.Way == schemas.Down {
		role = "bridge:"
		_, id, _ = strings.Cut(ours[0], role)
	}
	if id == "" || ours[0] != prefix+role+id {
		return fmt.Errorf("identity %q", ours[0])
	}
	if len(names) != 1 || names[0] != id {
		return fmt.Errorf("common names %q of %q", names, id)
	}
	return nil
}

// peersOf returns the kids of the peers that are accepted.
func peersOf(e *schemas.Envelope, w *schemas.Welcome, root *x509.Certificate, now time.Time) (kids []hexBytes) {
	path, err := judge(e.Topic, e.Chain, root, now)
	if err != nil {
		return nil
	}
	for _, der := range w.Peers {
		peer, err := x509.ParseCertificate(der)
		if err != nil || !bytes.Equal(peer.RawIssuer, path[1].RawSubject) || peer.CheckSignatureFrom(path[1]) != nil {
			continue
		}
		if _, err := judge(e.Topic, append([]*x509.Certificate{peer}, e.Chain[1:]...), root, now); err == nil {
			kid := schemas.KeyIDOf(peer)
			kids = append(kids, kid[:])
		}
	}
	return kids
}

func TestVectorSenders(t *testing.T) {
	keys := loadSigning(t)
	vectors := load[senderFile](t, "senders.json").Vectors
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			e, err := schemas.Parse(topic(t, v.Topic), v.Message)
			if err != nil {
				t.Fatal(err)
			}
			m, err := e.Verify(keys[v.Certificate].cert)
			if err != nil {
				t.Fatal(err)
			}
			now := time.Unix(int64(v.Now), 0)
			if err := trust(e, keys, now); err != nil {
				t.Errorf("not trusted: %v", err)
			}
			if w, ok := m.(*schemas.Welcome); ok {
				if got := peersOf(e, w, keys["root"].cert, now); !slices.EqualFunc(got, v.Peers, func(a, b hexBytes) bool { return bytes.Equal(a, b) }) {
					t.Errorf("peers %x, want %x", got, v.Peers)
				}
			}
		})
	}
}

// The largest messages are exactly as large as may be.
func TestVectorsReachTheLimits(t *testing.T) {
	for name, want := range map[string]int{"hello-8192": schemas.MaxUp, "granted-16384": schemas.MaxDown} {
		if n := len(vectorNamed(t, name).Message); n != want {
			t.Errorf("%s has %d bytes, want %d", name, n, want)
		}
	}
	for _, v := range load[badFile](t, "bad-envelopes.json").Vectors {
		want, ok := map[string]int{"too-large-up": schemas.MaxUp + 1, "too-large-down": schemas.MaxDown + 1}[v.Name]
		if ok && len(v.Message) != want {
			t.Errorf("%s has %d bytes, want %d", v.Name, len(v.Message), want)
		}
	}
	for name, want := range map[string]int{"device-1-2048": 2048, "device-1-large": 2048} {
		if n := len(loadSigning(t)[name].Certificate); n != want {
			t.Errorf("the certificate %s has %d bytes, want %d", name, n, want)
		}
	}
}
