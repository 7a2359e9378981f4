package schemas_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/schemas"
)

const secret = "anna.secret@example.com"

// Does an error, or a log line, tell what was sealed?
func TestSecretsStaySecret(t *testing.T) {
	k := try(schemas.ParseSealKey(seed("response-1")))
	var said []string
	spoilt := []schemas.Private{
		{LoginHint: secret + "\n"}, {LoginHint: secret, IDTokenHint: secret}, {LoginHint: strings.Repeat(secret, 20)},
		{LoginHintToken: secret + "\xff"}, {Purpose: secret + strings.Repeat("x", 128)},
	}
	for _, p := range spoilt {
		_, err := schemas.SealPrivate(k.Public(), device1, schemas.ID{1}, p)
		if err == nil {
			t.Fatal("sealed")
		}
		said = append(said, err.Error())
	}
	for _, s := range []schemas.Grant{{AccessToken: []byte(secret)}, {AccessToken: []byte(secret), ExpiresIn: 1, Person: schemas.Handle{1}, Name: secret + "\n"}} {
		_, err := schemas.SealGrant(k.Public(), device1, schemas.ID{1}, s)
		if err == nil {
			t.Fatal("sealed")
		}
		said = append(said, err.Error())
	}
	// Plaintexts whose very keys are the secret.
	for _, plain := range []item{amap(tstr(secret), num(1)), amap(tstr(secret), num(1), tstr(secret), num(1)), amap(num(-27), bstr([]byte(secret))), tstr(secret)} {
		s := goodPrivate()
		s.to, s.plaintext = "bridge-sealing", plain
		_, err := schemas.OpenPrivate(try(schemas.ParseSealKey(seed("bridge-sealing"))), device1, id(2), s.seal())
		if err == nil {
			t.Fatal("opened")
		}
		said = append(said, err.Error())
	}
	p, g := schemas.Private{LoginHint: secret}, schemas.Grant{AccessToken: []byte(secret), Name: secret}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		said = append(said, fmt.Sprintf(verb, p), fmt.Sprintf(verb, &p), fmt.Sprintf(verb, g), fmt.Sprintf(verb, &g))
	}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "p", p, "pp", &p, "g", g, "gg", &g)
	}
	said = append(said, log.String())
	hexed := fmt.Sprintf("%x", secret)
	numbers := strings.Trim(string(try(json.Marshal([]byte(secret)))), `"`)
	for _, s := range said {
		for _, leak := range []string{secret, hexed, numbers, "anna", fmt.Sprint([]byte(secret))[1:20]} {
			if strings.Contains(s, leak) {
				t.Errorf("%q tells %q", s, leak)
			}
		}
	}
}
