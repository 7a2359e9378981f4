package schemas

// Times on the wire are seconds since 1970 as unsigned integers, never zero;
// durations are whole seconds.

// Hello introduces a device: its envelope alone carries the device's
// certificate chain. Sent on first contact, after a renewal of the
// certificate, when told unknown_key, and when a down message bears a kid the
// device does not know.
type Hello struct {
	Type     kindOf[Hello] `cbor:"-1,keyasint"`
	ID       ID            `cbor:"7,keyasint"`
	IssuedAt uint64        `cbor:"6,keyasint"`             // the device's clock
	Versions Versions      `cbor:"-13,keyasint"`           // what the device speaks
	Seen     *WelcomeID    `cbor:"-14,keyasint,omitempty"` // the last welcome kept, if any
	Wanted   *KeyID        `cbor:"-25,keyasint,omitempty"` // the kid that the device could not verify, if that is why
}

// SignIn asks that a person be rung. Who, is said by exactly one of Person and
// the login hint inside Sealed; Sealed may besides say what for.
type SignIn struct {
	Type        kindOf[SignIn] `cbor:"-1,keyasint"`
	ID          ID             `cbor:"7,keyasint"`
	IssuedAt    uint64         `cbor:"6,keyasint"`            // device clock plus its known offset
	ConfirmKey  *ConfirmKey    `cbor:"4,keyasint,omitempty"`  // bind the token to this key instead of the certificate's (req_cnf, RFC 9201 section 3.1)
	Scope       string         `cbor:"9,keyasint"`            // RFC 6749 section 3.3, at most 256 bytes; the bridge adds openid
	Person      *Handle        `cbor:"-2,keyasint,omitempty"` // a person this device has signed in before
	Sealed      Bytes          `cbor:"-3,keyasint,omitempty"` // a Private, see SealPrivate
	Expiry      uint16         `cbor:"-4,keyasint,omitempty"` // how long to ring, seconds; 0 leaves it to the bridge (requested_expiry, CIBA Core section 7.1)
	ACR         string         `cbor:"-5,keyasint,omitempty"` // acr_values, CIBA Core section 7.1
	Device      DeviceKind     `cbor:"-6,keyasint"`           // what stands in front of the person
	Seat        Seat           `cbor:"-7,keyasint,omitempty"` // where the person sits, in a vehicle
	Moving      bool           `cbor:"-8,keyasint,omitempty"` // the vehicle moves
	ResponseKey PublicKey      `cbor:"-9,keyasint"`           // fresh for this request; the grant is sealed to it
}

// Cancel withdraws a request. The answer is a Refused with code cancelled, or
// whatever final answer was there first.
type Cancel struct {
	Type kindOf[Cancel] `cbor:"-1,keyasint"`
	ID   ID             `cbor:"7,keyasint"`
}

// Receipt says that the final answer to a request is verified, unsealed and
// stored, so that the bridge may forget it.
type Receipt struct {
	Type kindOf[Receipt] `cbor:"-1,keyasint"`
	ID   ID              `cbor:"7,keyasint"`
}

// Renew asks for a new token in an existing session, without ringing anybody.
type Renew struct {
	Type        kindOf[Renew] `cbor:"-1,keyasint"`
	ID          ID            `cbor:"7,keyasint"`
	IssuedAt    uint64        `cbor:"6,keyasint"`
	ConfirmKey  *ConfirmKey   `cbor:"4,keyasint,omitempty"` // as in SignIn
	ResponseKey PublicKey     `cbor:"-9,keyasint"`
	Session     ID            `cbor:"-17,keyasint"`
}

// SignOut ends sessions: exactly one of Sessions, Person and All says which.
// The answer is a Revoked with the same id.
type SignOut struct {
	Type     kindOf[SignOut] `cbor:"-1,keyasint"`
	ID       ID              `cbor:"7,keyasint"`
	IssuedAt uint64          `cbor:"6,keyasint"`
	Person   *Handle         `cbor:"-2,keyasint,omitempty"`  // every session of this person on this device
	Sessions []ID            `cbor:"-18,keyasint,omitempty"` // 1 to 16
	All      bool            `cbor:"-19,keyasint,omitempty"` // every session on this device
}

// Proof answers Prove: the signatures of the requested DPoP proofs, in order.
// See ProofInput for the bytes that are signed.
type Proof struct {
	Type       kindOf[Proof] `cbor:"-1,keyasint"`
	ID         ID            `cbor:"7,keyasint"`
	First      uint16        `cbor:"-22,keyasint,omitempty"` // as asked
	Signatures Bytes         `cbor:"-24,keyasint"`           // 64 bytes each, r || s or R || S; at most MaxProofs
}

// Kind returns KindHello.
func (Hello) Kind() Kind { return KindHello }

// Kind returns KindSignIn.
func (SignIn) Kind() Kind { return KindSignIn }

// Kind returns KindCancel.
func (Cancel) Kind() Kind { return KindCancel }

// Kind returns KindReceipt.
func (Receipt) Kind() Kind { return KindReceipt }

// Kind returns KindRenew.
func (Renew) Kind() Kind { return KindRenew }

// Kind returns KindSignOut.
func (SignOut) Kind() Kind { return KindSignOut }

// Kind returns KindProof.
func (Proof) Kind() Kind { return KindProof }

// RequestID returns m.ID.
func (m Hello) RequestID() ID { return m.ID }

// RequestID returns m.ID.
func (m SignIn) RequestID() ID { return m.ID }

// RequestID returns m.ID.
func (m Cancel) RequestID() ID { return m.ID }

// RequestID returns m.ID.
func (m Receipt) RequestID() ID { return m.ID }

// RequestID returns m.ID.
func (m Renew) RequestID() ID { return m.ID }

// RequestID returns m.ID.
func (m SignOut) RequestID() ID { return m.ID }

// RequestID returns m.ID.
func (m Proof) RequestID() ID { return m.ID }

func (m *Hello) check() error {
	return firstError(needID(m.ID), needTime(m.IssuedAt), m.Versions.check(),
		notZero("welcome", m.Seen), notZero("wanted", m.Wanted))
}

func (m *SignIn) check() error {
	return firstError(
		needID(m.ID), needTime(m.IssuedAt), checkScope(m.Scope),
		needField("person, sealed", m.Person != nil || len(m.Sealed) > 0),
		notZero("person", m.Person), checkSealed(m.Sealed, maxSealedUp),
		checkText("acr", m.ACR, maxShort), m.Device.check(), m.Seat.check(),
		needKey(m.ResponseKey), m.ConfirmKey.check(),
	)
}

func (m *Cancel) check() error  { return needID(m.ID) }
func (m *Receipt) check() error { return needID(m.ID) }

func (m *Renew) check() error {
	return firstError(needID(m.ID), needTime(m.IssuedAt), needKey(m.ResponseKey),
		m.ConfirmKey.check(), needField("session", m.Session != ID{}))
}

func (m *SignOut) check() error {
	return firstError(needID(m.ID), needTime(m.IssuedAt), notZero("person", m.Person), checkSessions(m.Sessions),
		exactlyOne("person, sessions, all", m.Person != nil, len(m.Sessions) > 0, m.All))
}

func (m *Proof) check() error {
	n := len(m.Signatures)
	if n == 0 {
		return needField("signatures", false)
	}
	if n%sigSize != 0 || n/sigSize > MaxProofs {
		return failf(ClassLimit, "signatures", "%d bytes, want %d for each of 1 to %d", n, sigSize, MaxProofs)
	}
	if err := checkNumbers("first, signatures", m.First, n/sigSize); err != nil {
		return err
	}
	return needID(m.ID)
}
