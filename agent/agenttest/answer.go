package agenttest

import (
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// receive takes what the device has published.
func (b *Bridge) receive(payload []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	env, err := schemas.Parse(schemas.UpTopic(DeviceID), payload)
	if err != nil {
		b.tb.Errorf("the device said what does not parse: %v", err)
		return
	}
	b.Said = append(b.Said, Heard{time.Now(), env.Unverified(), len(payload), env.KeyID})
	if b.Deaf {
		return
	}
	cert := b.Devices[env.KeyID]
	if env.Chain != nil {
		cert = env.Chain[0]
	}
	if cert == nil {
		b.Say(b.Refusal(env.Unverified().RequestID(), schemas.UnknownKey))
		return
	}
	m, err := env.Verify(cert)
	if err != nil {
		b.tb.Errorf("the device said what does not verify: %v", err)
		return
	}
	b.Devices[env.KeyID] = cert
	reply := b.Reply
	if b.Answer != nil {
		reply = b.Answer
	}
	for _, a := range reply(m) {
		b.Say(a)
	}
}

// Reply is what a bridge answers. Called inside Set, or Answer.
func (b *Bridge) Reply(m schemas.Message) []schemas.Message {
	switch m := m.(type) {
	case *schemas.Hello:
		return []schemas.Message{b.welcome(m)}
	case *schemas.Receipt:
		if r := b.requests[m.ID]; r != nil && r.Final != nil {
			r.Receipts++
		}
		return nil
	}
	r := b.requests[m.RequestID()]
	if r == nil {
		return b.first(m)
	}
	switch {
	case r.Final != nil && r.Receipts > 0:
		return nil
	case r.Final != nil:
		return []schemas.Message{r.Final}
	}
	if c, ok := m.(*schemas.Cancel); ok {
		return b.Finally(b.Refusal(c.ID, schemas.Cancelled))
	}
	return []schemas.Message{b.pending(m.RequestID())}
}

// first answers a request that is new.
func (b *Bridge) first(m schemas.Message) []schemas.Message {
	id := m.RequestID()
	switch m := m.(type) {
	case *schemas.SignIn:
		if schemas.Fresh(m.IssuedAt, time.Now()) != nil {
			return []schemas.Message{b.Refusal(id, schemas.ClockSkew)}
		}
		b.requests[id] = &Request{Message: m}
		b.open(m)
		if m.Person != nil && b.Names[*m.Person] == "" {
			return b.Finally(b.Refusal(id, schemas.UnknownPerson))
		}
		b.requests[id].Rings++
		return []schemas.Message{b.pending(id)}
	case *schemas.Renew:
		if schemas.Fresh(m.IssuedAt, time.Now()) != nil {
			return []schemas.Message{b.Refusal(id, schemas.ClockSkew)}
		}
		b.requests[id] = &Request{Message: m}
		if b.Renewal != nil {
			return b.Finally(b.Renewal(m))
		}
		return b.Finally(b.renew(m))
	case *schemas.SignOut:
		if schemas.Fresh(m.IssuedAt, time.Now()) != nil {
			return []schemas.Message{b.Refusal(id, schemas.ClockSkew)}
		}
		b.requests[id] = &Request{Message: m}
		for _, s := range m.Sessions {
			delete(b.sessions, s)
		}
		if m.All {
			clear(b.sessions)
		}
		out := &schemas.Revoked{ID: id, Sessions: m.Sessions, All: m.All}
		if m.Person != nil {
			out.Sessions = []schemas.ID{{9, 9}} // it names the sessions that it knows
		}
		return b.Finally(out)
	case *schemas.Cancel:
		b.requests[id] = &Request{Message: m}
		return b.Finally(b.Refusal(id, schemas.Cancelled))
	}
	b.tb.Errorf("the device said %v", m.Kind())
	return nil
}

// open reads what a sign-in says sealed.
func (b *Bridge) open(m *schemas.SignIn) {
	if m.Sealed == nil {
		return
	}
	p, err := schemas.OpenPrivate(b.SealKey, DeviceID, m.ID, m.Sealed)
	if err != nil {
		b.tb.Errorf("the hint does not open: %v", err)
	}
	b.Private = p
}

func (b *Bridge) pending(id schemas.ID) schemas.Message {
	return &schemas.Pending{ID: id, ExpiresIn: b.ExpiresIn, Binding: "4711"}
}

func (b *Bridge) welcome(h *schemas.Hello) schemas.Message {
	w := &schemas.Welcome{ID: h.ID, IssuedAt: schemas.Seconds(time.Now()), Versions: schemas.Speaks(), Name: b.Name}
	if h.Seen == nil || *h.Seen != b.Name || h.Wanted != nil {
		pub := b.SealKey.Public()
		w.Sealing, w.Peers = &pub, b.Peers
	}
	return w
}

// Refusal is a refusal as of now.
func (b *Bridge) Refusal(id schemas.ID, c schemas.Code) *schemas.Refused {
	return &schemas.Refused{ID: id, IssuedAt: schemas.Seconds(time.Now()), Code: c}
}

// Finally records a final answer, repeats it until its receipt, and returns it
// to be said now. Called inside Set.
func (b *Bridge) Finally(m schemas.Message) []schemas.Message {
	r := b.requests[m.RequestID()]
	r.Final = m
	born := time.Now()
	var repeat func()
	repeat = func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if r.Receipts == 0 && time.Since(born) < 24*time.Hour {
			b.Say(r.Final)
			time.AfterFunc(b.Again, repeat)
		}
	}
	time.AfterFunc(b.Again, repeat)
	return []schemas.Message{m}
}

// Approve is the person's tap: a sign-in that rings is granted to somebody of
// that name.
func (b *Bridge) Approve(id schemas.ID, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.requests[id]
	if r == nil || r.Final != nil {
		b.tb.Errorf("approving %v, which does not ring", id)
		return
	}
	in := r.Message.(*schemas.SignIn)
	h := schemas.NewHandle()
	if in.Person != nil {
		name = b.Names[*in.Person]
		delete(b.Names, *in.Person)
	}
	b.Names[h] = name
	if b.Renewable {
		b.sessions[id] = h
	}
	b.Say(b.Finally(b.grant(id, in.ResponseKey, h, name))[0])
}

// renew answers a renewal: with a grant if the session was renewable when it
// began.
func (b *Bridge) renew(m *schemas.Renew) schemas.Message {
	old, ok := b.sessions[m.Session]
	if !ok {
		return b.Refusal(m.ID, schemas.UnknownSession)
	}
	h := schemas.NewHandle()
	b.Names[h], b.sessions[m.Session] = b.Names[old], h
	delete(b.Names, old)
	return b.grant(m.ID, m.ResponseKey, h, "")
}

// grant is the next token, sealed.
func (b *Bridge) grant(id schemas.ID, to schemas.PublicKey, h schemas.Handle, name string) schemas.Message {
	sealed, err := schemas.SealGrant(to, DeviceID, id, schemas.Grant{
		AccessToken: Token(b.Tokens), ExpiresIn: b.Life, Person: h, Name: name, Scope: b.Scope, Renewable: b.Renewable,
	})
	if err != nil {
		b.tb.Errorf("sealing: %v", err)
	}
	b.Tokens++
	return &schemas.Granted{ID: id, Sealed: sealed}
}

// Token is the n-th that a bridge grants, from 0.
func Token(n int) []byte {
	access := make([]byte, TokenBytes)
	for i := range access {
		access[i] = "abcdefghijklmnop"[(i+n)%16]
	}
	return access
}

// Refuse ends a sign-in.
func (b *Bridge) Refuse(id schemas.ID, c schemas.Code) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Say(b.Finally(b.Refusal(id, c))[0])
}

// Say publishes a message on the down topic. Called inside Set.
func (b *Bridge) Say(m schemas.Message) {
	wire, err := SignerOf(b.tb, b.Cert).Sign(schemas.DownTopic(DeviceID), m)
	if err != nil {
		b.tb.Errorf("signing a %v: %v", m.Kind(), err)
		return
	}
	b.Sizes = append(b.Sizes, len(wire))
	if b.Lose != nil && b.Lose(m) {
		return
	}
	b.road(func() {
		b.mu.Lock()
		to := b.Device
		b.mu.Unlock()
		if to != nil {
			to.Handle(schemas.DownTopic(DeviceID).String(), wire)
		}
	})
}
