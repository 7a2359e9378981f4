package bridge_test

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// A bridge believes whom the wire's vectors call good, and nobody else.
func TestVectorsOfSenders(t *testing.T) {
	var keys struct {
		Signing []struct{ Name, Certificate string }
	}
	readVectors(t, "keys.json", &keys)
	var roots *x509.CertPool
	for _, k := range keys.Signing {
		if k.Name == "root" {
			root, err := x509.ParseCertificate(unhex(t, k.Certificate))
			if err != nil {
				t.Fatal(err)
			}
			roots = mtls.Pool(root)
		}
	}
	for file, good := range map[string]bool{"senders.json": true, "bad-senders.json": false} {
		judged := 0
		var vectors struct {
			Vectors []struct {
				Name, Topic, Message string
				Now                  int64
			}
		}
		readVectors(t, file, &vectors)
		for _, v := range vectors.Vectors {
			if !strings.HasSuffix(v.Topic, "/up") {
				continue // for devices
			}
			topic, err := schemas.ParseTopic(v.Topic)
			if err != nil {
				t.Fatal(err)
			}
			env, err := schemas.Parse(topic, unhex(t, v.Message))
			if err != nil {
				t.Fatalf("%s: %v", v.Name, err)
			}
			err = bridge.VerifySender(roots, topic.Device, env.Chain, time.Unix(v.Now, 0))
			if (err == nil) != good {
				t.Errorf("%s of %s: error %v", v.Name, file, err)
			}
			judged++
		}
		if judged == 0 {
			t.Errorf("%s has no vector for a bridge", file)
		}
	}
}

func readVectors(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile("../schemas/testdata/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
