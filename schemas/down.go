package schemas

// Welcome answers Hello. Its envelope carries the bridge's certificate chain,
// and it names the sealing key, unless the device said that it has seen this
// very welcome before.
type Welcome struct {
	Type     kindOf[Welcome] `cbor:"-1,keyasint"`
	ID       ID              `cbor:"7,keyasint"`
	IssuedAt uint64          `cbor:"6,keyasint"`   // the bridge's clock: the device sets its offset by it
	Versions Versions        `cbor:"-13,keyasint"` // what the bridge speaks
	Name     WelcomeID       `cbor:"-14,keyasint"` // to be said in the next hello
	Sealing  *PublicKey      `cbor:"-15,keyasint,omitempty"`
	Peers    []Bytes         `cbor:"-16,keyasint,omitempty"` // leaf certificates (DER) of the bridges that share the work, issued by the signer's issuer; at most 8
}

// Pending says that the person's phone is ringing.
type Pending struct {
	Type      kindOf[Pending] `cbor:"-1,keyasint"`
	ID        ID              `cbor:"7,keyasint"`
	ExpiresIn uint32          `cbor:"2,keyasint"`             // seconds until the request is given up
	Binding   string          `cbor:"-10,keyasint,omitempty"` // binding_message: the same on this screen and on the phone; at most 64 bytes
}

// Granted carries the token, sealed to the request's key. See SealGrant.
type Granted struct {
	Type   kindOf[Granted] `cbor:"-1,keyasint"`
	ID     ID              `cbor:"7,keyasint"`
	Sealed Bytes           `cbor:"-3,keyasint"`
}

// Refused ends a request, or (unknown_key, clock_skew, busy) says what to put
// right before it is repeated; see Code.
type Refused struct {
	Type       kindOf[Refused] `cbor:"-1,keyasint"`
	ID         ID              `cbor:"7,keyasint"`
	IssuedAt   uint64          `cbor:"6,keyasint"` // the bridge's clock
	Code       Code            `cbor:"-11,keyasint"`
	RetryAfter uint16          `cbor:"-12,keyasint,omitempty"` // seconds before the same would be answered otherwise
}

// Prove asks the device to sign DPoP proofs (RFC 9449) for the token endpoint
// it has pinned under an index: Count proofs numbered from First, the n-th
// issued at IssuedAt + (n-First) * Interval. See ProofInput.
type Prove struct {
	Type     kindOf[Prove] `cbor:"-1,keyasint"`
	ID       ID            `cbor:"7,keyasint"`
	IssuedAt uint64        `cbor:"6,keyasint"`
	Endpoint uint8         `cbor:"-20,keyasint,omitempty"` // index into the device's own list of token endpoints
	Interval uint16        `cbor:"-21,keyasint,omitempty"` // seconds
	First    uint16        `cbor:"-22,keyasint,omitempty"`
	Count    uint8         `cbor:"-23,keyasint"`           // 1 to MaxProofs
	Nonce    string        `cbor:"-26,keyasint,omitempty"` // DPoP-Nonce, RFC 9449 section 8; at most 256 bytes
}

// Revoked tells the device to forget sessions now. It answers SignOut; where
// nobody asked, the bridge makes the id up, so that there is a receipt for it.
// Exactly one of Sessions and All says which.
type Revoked struct {
	Type     kindOf[Revoked] `cbor:"-1,keyasint"`
	ID       ID              `cbor:"7,keyasint"`
	Sessions []ID            `cbor:"-18,keyasint,omitempty"` // 1 to 16
	All      bool            `cbor:"-19,keyasint,omitempty"`
}

// Kind returns KindWelcome.
func (Welcome) Kind() Kind { return KindWelcome }

// Kind returns KindPending.
func (Pending) Kind() Kind { return KindPending }

// Kind returns KindGranted.
func (Granted) Kind() Kind { return KindGranted }

// Kind returns KindRefused.
func (Refused) Kind() Kind { return KindRefused }

// Kind returns KindProve.
func (Prove) Kind() Kind { return KindProve }

// Kind returns KindRevoked.
func (Revoked) Kind() Kind { return KindRevoked }

// RequestID returns m.ID.
func (m Welcome) RequestID() ID { return m.ID }

// RequestID returns m.ID.
func (m Pending) RequestID() ID { return m.ID }

// RequestID returns m.ID.
func (m Granted) RequestID() ID { return m.ID }

// RequestID returns m.ID.
func (m Refused) RequestID() ID { return m.ID }

// RequestID returns m.ID.
func (m Prove) RequestID() ID { return m.ID }

// RequestID returns m.ID.
func (m Revoked) RequestID() ID { return m.ID }

func (m *Welcome) check() error {
	if n := len(m.Peers); n > maxPeers {
		return failf(ClassLimit, "peers", "%d certificates, want 1 to %d", n, maxPeers)
	}
	if m.Sealing == nil && len(m.Peers) > 0 {
		return failf(ClassMissing, "sealing", "peers come with a sealing key and a chain")
	}
	for _, p := range m.Peers {
		if len(p) == 0 || len(p) > maxCertificate {
			return failf(ClassLimit, "peers", "certificate of %d bytes, want 1 to %d", len(p), maxCertificate)
		}
	}
	return firstError(needID(m.ID), needTime(m.IssuedAt), m.Versions.check(),
		needField("welcome", m.Name != WelcomeID{}), notZero("sealing_key", m.Sealing))
}

func (m *Pending) check() error {
	if m.ExpiresIn == 0 {
		return needField("expires_in", false)
	}
	return firstError(needID(m.ID), checkText("binding_message", m.Binding, maxShort))
}

func (m *Granted) check() error {
	return firstError(needID(m.ID), needField("sealed", len(m.Sealed) > 0), checkSealed(m.Sealed, maxSealedDown))
}

func (m *Refused) check() error {
	return firstError(needID(m.ID), needTime(m.IssuedAt), m.Code.check())
}

func (m *Prove) check() error {
	if m.Count == 0 {
		return needField("count", false)
	}
	if m.Count > MaxProofs {
		return failf(ClassLimit, "count", "%d, want 1 to %d", m.Count, MaxProofs)
	}
	return firstError(needID(m.ID), needTime(m.IssuedAt), checkNonce(m.Nonce),
		checkNumbers("first, count", m.First, int(m.Count)))
}

func (m *Revoked) check() error {
	return firstError(needID(m.ID), checkSessions(m.Sessions),
		exactlyOne("sessions, all", len(m.Sessions) > 0, m.All))
}
