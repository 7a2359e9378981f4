package schemas_test

import (
	"testing"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// stages run one refused vector and return the error that it ends in, after
// having passed the stages before.
var stages = map[string]func(*testing.T, badVector) error{
	"parse": func(t *testing.T, v badVector) error {
		e, err := schemas.Parse(topic(t, v.Topic), v.Message)
		if err != nil && e != nil {
			t.Error("an envelope comes with the error")
		}
		return err
	},
	"payload": func(t *testing.T, v badVector) error {
		m, err := schemas.UnmarshalPayload(topic(t, v.Topic).Way, v.Payload)
		if m != nil {
			t.Errorf("decodes as %v", m.Kind())
		}
		if _, whole := schemas.Parse(topic(t, v.Topic), v.Message); classOf(whole) != classOf(err) {
			t.Errorf("the message: %v; its payload: %v", whole, err)
		}
		return err
	},
	"verify": func(t *testing.T, v badVector) error {
		e, err := schemas.Parse(topic(t, v.Topic), v.Message)
		if err != nil {
			t.Fatalf("does not even parse: %v", err)
		}
		m, err := e.Verify(keys(t)[v.Certificate].cert)
		if m != nil {
			t.Error("a message comes with the error")
		}
		return err
	},
	"fresh": func(t *testing.T, v badVector) error {
		return schemas.Fresh(issuedAt(verified(t, v)), time.Unix(int64(v.Now), 0))
	},
	"open": open,
	"identity": func(t *testing.T, v badVector) error {
		verified(t, v)
		e, _ := schemas.Parse(topic(t, v.Topic), v.Message)
		return trust(e, keys(t), time.Unix(int64(v.Now), 0))
	},
}

func verified(t *testing.T, v badVector) schemas.Message {
	e, err := schemas.Parse(topic(t, v.Topic), v.Message)
	if err != nil {
		t.Fatalf("does not even parse: %v", err)
	}
	m, err := e.Verify(keys(t)[v.Certificate].cert)
	if err != nil {
		t.Fatalf("does not even verify: %v", err)
	}
	return m
}

func open(t *testing.T, v badVector) error {
	k, device, id := loadSealing(t)[v.Key], topic(t, v.Topic).Device, schemas.ID(v.ID)
	switch v.As {
	case "private":
		p, err := schemas.OpenPrivate(k, device, id, v.Sealed)
		if p != (schemas.Private{}) {
			t.Error("contents come with the error")
		}
		return err
	case "sign-in":
		p, err := verified(t, v).(*schemas.SignIn).Open(k, device)
		if p != (schemas.Private{}) {
			t.Error("contents come with the error")
		}
		return err
	case "grant":
		g, err := schemas.OpenGrant(k, device, id, v.Sealed)
		if g.AccessToken != nil || g.Person != (schemas.Handle{}) || g.ExpiresIn != 0 {
			t.Error("contents come with the error")
		}
		return err
	}
	t.Fatalf("as %q", v.As)
	return nil
}

// classes lists every class and how many vectors of it there are at least.
var classes = map[schemas.Class]int{
	schemas.ClassTooLarge: 2, schemas.ClassMalformed: 10, schemas.ClassTrailing: 4, schemas.ClassIndefinite: 8, schemas.ClassTag: 5,
	schemas.ClassTooDeep: 4, schemas.ClassDuplicateKey: 6, schemas.ClassUnknownKey: 20, schemas.ClassWrongType: 40, schemas.ClassMissing: 30,
	schemas.ClassLimit: 40, schemas.ClassConflict: 5, schemas.ClassNotCanonical: 25, schemas.ClassWay: 2, schemas.ClassHeader: 6,
	schemas.ClassCrit: 2, schemas.ClassAlg: 10, schemas.ClassKey: 6, schemas.ClassSignature: 10, schemas.ClassSealed: 15, schemas.ClassStale: 6,
}

func TestVectorsRefused(t *testing.T) {
	count, names := map[schemas.Class]int{}, map[string]bool{}
	total := 0
	for _, file := range []string{"bad-envelopes.json", "bad-payloads.json", "bad-sealed.json", "bad-times.json", "bad-senders.json"} {
		vectors := load[badFile](t, file).Vectors
		if len(vectors) == 0 {
			t.Fatalf("%s is empty", file)
		}
		total += len(vectors)
		for _, v := range vectors {
			if names[v.Name] {
				t.Errorf("two vectors are named %s", v.Name)
			}
			names[v.Name] = true
			count[schemas.Class(v.Class)]++
			t.Run(v.Name, func(t *testing.T) {
				run, ok := stages[v.Stage]
				if !ok {
					t.Fatalf("stage %q", v.Stage)
				}
				err := run(t, v)
				if err == nil {
					t.Fatalf("accepted; want class %q", v.Class)
				}
				if got := classOf(err); got != v.Class {
					t.Errorf("class %q, want %q: %v", got, v.Class, err)
				}
			})
		}
	}
	t.Logf("%d refused vectors: %v", total, count)
	if total < 60 {
		t.Errorf("%d vectors, want at least 60", total)
	}
	for class, least := range classes {
		if count[class] < least {
			t.Errorf("%d vectors of class %s, want at least %d", count[class], class, least)
		}
	}
}
