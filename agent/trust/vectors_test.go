package trust_test

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/agent/trust"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// vector is what matters here of one in schemas/testdata/vectors.
type vector struct {
	Name    string   `json:"name"`
	Topic   string   `json:"topic"`
	Now     uint64   `json:"now"`
	Message string   `json:"message"`
	Peers   []string `json:"peers"`
}

func vectors(t *testing.T, name string) (down []vector) {
	t.Helper()
	var file struct {
		Vectors []vector `json:"vectors"`
	}
	read(t, name, &file)
	for _, v := range file.Vectors {
		if strings.HasSuffix(v.Topic, "/down") {
			down = append(down, v)
		}
	}
	if len(down) == 0 {
		t.Fatalf("no vectors for a device in %s", name)
	}
	return down
}

func read(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile("../../schemas/testdata/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// certificates returns those of the vectors' keys.
func certificates(t *testing.T) map[string]*x509.Certificate {
	t.Helper()
	var file struct {
		Signing []struct {
			Name        string `json:"name"`
			Certificate string `json:"certificate"`
		} `json:"signing"`
	}
	read(t, "keys.json", &file)
	all := map[string]*x509.Certificate{}
	for _, k := range file.Signing {
		cert, err := x509.ParseCertificate(unhex(t, k.Certificate))
		if err != nil {
			t.Fatalf("%s: %v", k.Name, err)
		}
		all[k.Name] = cert
	}
	return all
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openVector(t *testing.T, v vector, root *x509.Certificate) (*trust.Bridges, error) {
	t.Helper()
	topic, err := schemas.ParseTopic(v.Topic)
	if err != nil {
		t.Fatal(err)
	}
	raw := unhex(t, v.Message)
	env, err := schemas.Parse(topic, raw)
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	b, _, err := trust.Open(env, raw, mtls.Pool(root), time.Unix(int64(v.Now), 0), quiet)
	return b, err
}

// Nobody is believed whom the wire's vectors call bad.
func TestVectorsOfBadSenders(t *testing.T) {
	root := certificates(t)["root"]
	for _, v := range vectors(t, "bad-senders.json") {
		if _, err := openVector(t, v, root); err == nil {
			t.Errorf("%s is believed", v.Name)
		}
	}
}

// Those are believed, with the right peers, whom they call good.
func TestVectorsOfSenders(t *testing.T) {
	certs := certificates(t)
	for _, v := range vectors(t, "senders.json") {
		b, err := openVector(t, v, certs["root"])
		if err != nil {
			t.Errorf("%s is not believed: %v", v.Name, err)
			continue
		}
		if v.Peers == nil {
			continue
		}
		var peers []string
		for _, kid := range b.KeyIDs() {
			peers = append(peers, kid.String())
		}
		for _, kid := range v.Peers {
			if !slices.Contains(peers, kid) {
				t.Errorf("%s: %s is no peer", v.Name, kid)
			}
		}
		if len(peers) != len(v.Peers)+1 {
			t.Errorf("%s: peers %q, want %q and the signer", v.Name, peers, v.Peers)
		}
	}
}
