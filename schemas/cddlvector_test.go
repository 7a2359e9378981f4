package schemas_test

import (
	"os"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/schemas"
)

func loadCDDL(t *testing.T) cddl {
	t.Helper()
	text, err := os.ReadFile("carillon.cddl")
	if err != nil {
		t.Fatal(err)
	}
	return parseCDDL(string(text))
}

func wayRule(topic string) string {
	if isUp(topic) {
		return "up-message"
	}
	return "down-message"
}

// Does the CDDL describe what the package accepts?
func TestCDDLMatchesVectors(t *testing.T) {
	c := loadCDDL(t)
	for _, v := range load[messageFile](t, "messages.json").Vectors {
		if !c.matches(wayRule(v.Topic), v.Message) {
			t.Errorf("%s is no %s", v.Name, wayRule(v.Topic))
		}
		names := []string{v.Type}
		if v.Type == "welcome" {
			names = []string{"short-welcome", "full-welcome"}
		}
		n := 0
		for _, name := range names {
			if c.matches(name, v.Payload) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the payload of %s is %d of %v", v.Name, n, names)
		}
	}
	for _, v := range load[sealedFile](t, "sealed.json").Vectors {
		rule := map[string]string{"private": "sealed-hint", "grant": "sealed-grant"}[v.As]
		if !c.matches(v.As, v.Plaintext) || !c.matches(rule, v.Sealed) || !c.matches("enc-structure", v.AAD) {
			t.Errorf("%s: plaintext, sealed part or aad is not of the CDDL", v.Name)
		}
	}
}

// beyondCDDL are vectors that are refused for what the CDDL only says in
// words.
var beyondCDDL = []string{
	"cancel-id-zero", "sign-in-response-key-zero", "sign-in-person-zero", "hello-seen-zero", "hello-wanted-zero", "welcome-name-zero",
	"welcome-sealing-key-zero", "renew-session-zero", "sign-out-sessions-zero", "hello-versions-reversed", "confirm-off-curve",
	"proof-signatures-odd", "proof-numbers-overflow", "prove-numbers-overflow", "grant-ek-zero", "grant-plaintext-person-zero", "private-kid-of-another-key",
	"sign-in-person-and-hint", "sign-in-person-and-hint-and-purpose", "sign-in-purpose-alone", "chain-kid-of-another", "chain-kid-of-issuer", "chain-reversed",
}

// Does it refuse what the package refuses for more than its encoding?
func TestCDDLRefusesVectors(t *testing.T) {
	c := loadCDDL(t)
	beyond := map[string]bool{}
	for _, name := range beyondCDDL {
		beyond[name] = true
	}
	judged := 0
	for _, file := range []string{"bad-envelopes.json", "bad-payloads.json", "bad-sealed.json"} {
		for _, v := range load[badFile](t, file).Vectors {
			switch schemas.Class(v.Class) {
			case schemas.ClassUnknownKey, schemas.ClassWrongType, schemas.ClassMissing, schemas.ClassLimit, schemas.ClassConflict,
				schemas.ClassWay, schemas.ClassHeader, schemas.ClassCrit, schemas.ClassAlg, schemas.ClassKey:
			case schemas.ClassNotCanonical:
				if v.Comment != "said by absence" {
					continue
				}
			default:
				continue
			}
			if v.Stage == "verify" {
				continue
			}
			judged++
			ok := false
			if v.Stage == "open" && v.As != "sign-in" {
				ok = c.matches(map[string]string{"private": "sealed-hint", "grant": "sealed-grant"}[v.As], v.Sealed)
				if strings.Contains(v.Name, "-plaintext-") {
					ok = c.matches(v.As, v.Plaintext)
				}
			} else {
				ok = c.matches(wayRule(v.Topic), v.Message)
			}
			if ok != beyond[v.Name] {
				t.Errorf("%s (%s): matches the CDDL: %v", v.Name, v.Class, ok)
			}
		}
	}
	if judged < 200 {
		t.Errorf("only %d vectors were judged", judged)
	}
	t.Logf("%d vectors judged", judged)
}

// Are the refusal codes and device kinds of the CDDL those of the package?
func TestCDDLNumbers(t *testing.T) {
	c := loadCDDL(t)
	enum := func(rule string) []*cddlNode { return c[rule].kids[0].kids[0].kids }
	codes := enum("code")
	if len(codes) != len(schemas.Codes()) {
		t.Errorf("%d codes, the package has %d", len(codes), len(schemas.Codes()))
	}
	for i, code := range schemas.Codes() {
		if e := codes[i]; e.text != code.String() || e.kids[0].kids[0].num != int64(code) {
			t.Errorf("code %d is %s, the package says %v", e.kids[0].kids[0].num, e.text, code)
		}
	}
	for i, e := range enum("device-kind") {
		if k, err := schemas.ParseDeviceKind(e.text); err != nil || int(k) != i+1 {
			t.Errorf("device kind %s is %d here, %v", e.text, k, err)
		}
	}
}
