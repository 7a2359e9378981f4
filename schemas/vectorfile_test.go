package schemas_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// The shape of testdata/vectors, as README.md describes it.

const vectorDir = "testdata/vectors"

// hexBytes is a byte string in JSON.
type hexBytes []byte

func (h hexBytes) MarshalJSON() ([]byte, error) { return json.Marshal(hex.EncodeToString(h)) }

func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	raw, err := hex.DecodeString(s)
	if err != nil {
		return fmt.Errorf("%.40q is not hexadecimal: %w", s, err)
	}
	*h = raw
	return nil
}

type keyFile struct {
	Comment string
	Signing []signingVector
	Sealing []sealingVector
}

type signingVector struct {
	Name, Comment string
	Curve         string   // P-256, P-384 or Ed25519
	Private       hexBytes // scalar, big endian; for Ed25519 the seed
	Public        hexBytes // 4 || x || y; for Ed25519 the 32 bytes
	Identity      string   // URI of the certificate, "" for an authority
	Issuer        string   // name of another entry, or its own
	Certificate   hexBytes // DER
	Kid           hexBytes
}

type sealingVector struct {
	Name, Comment        string
	Private, Public, Kid hexBytes // X25519
}

type messageFile struct {
	Comment string
	Vectors []messageVector
}

// A messageVector is a message that is accepted.
type messageVector struct {
	Name, Comment string
	Type          string   // as the CDDL names it
	Topic         string   // on which it arrives
	Signer        string   // entry of keys.json
	ID            hexBytes // of the request
	Payload       hexBytes
	Message       hexBytes // what MQTT carries
	Diagnostic    string
	FreshFrom     uint64 `json:",omitempty"` // first and last second, by the bridge's clock,
	FreshUntil    uint64 `json:",omitempty"` // at which its iat is inside the window
}

type sealedFile struct {
	Comment string
	Vectors []sealedVector
}

// A sealedVector is a COSE_Encrypt0 that opens.
type sealedVector struct {
	Name, Comment string
	As            string // private or grant
	Key           string // entry of keys.json to which it is sealed
	Topic         string
	ID            hexBytes
	Ephemeral     hexBytes // private key of the sender's encapsulation
	AAD           hexBytes // Enc_structure
	Plaintext     hexBytes
	Sealed        hexBytes
	Diagnostic    string // of the plaintext
}

type senderFile struct {
	Comment string
	Vectors []senderVector
}

// A senderVector is a hello or a welcome whose sender is trusted.
type senderVector struct {
	Name, Comment string
	Topic         string
	Certificate   string     // entry of keys.json
	Now           uint64     // by the receiver's clock
	Message       hexBytes   // what MQTT carries
	Peers         []hexBytes `json:",omitempty"` // kids of those peers of a welcome that are accepted
	Diagnostic    string
}

type badFile struct {
	Comment string
	Vectors []badVector
}

// A badVector is refused, at one stage and for one reason.
type badVector struct {
	Name, Comment string
	Stage         string   // parse, payload, verify, fresh, open, identity
	Class         string   // "" at stage identity
	Topic         string   // on which it arrives; of a sealed part, that of its message
	Certificate   string   `json:",omitempty"` // verify, fresh, identity: entry of keys.json
	Now           uint64   `json:",omitempty"` // fresh, identity: the receiver's clock
	As            string   `json:",omitempty"` // open: private or grant
	Key           string   `json:",omitempty"` // open: entry of keys.json
	ID            hexBytes `json:",omitempty"` // open
	Payload       hexBytes `json:",omitempty"` // payload: that of Message
	Message       hexBytes `json:",omitempty"` // all but open
	Sealed        hexBytes `json:",omitempty"` // open
	Plaintext     hexBytes `json:",omitempty"` // open: what is inside, where only that is wrong
	Diagnostic    string   `json:",omitempty"` // of Payload, Plaintext, Sealed or Message, where the bytes are well-formed
}

type proofFile struct {
	Comment string
	Vectors []proofVector
}

// A proofVector is one DPoP proof.
type proofVector struct {
	Name, Comment  string
	Signer         string
	Device         string
	ID             hexBytes
	Number         uint16
	Endpoint       string
	IssuedAt       uint64
	Nonce          string
	JTI            string
	Thumbprint     string
	Header, Claims string // JSON, before base64url
	Input          string // what is signed
	Signature      hexBytes
	Proof          string // the whole JWS
}

type textFile struct {
	Comment   string
	Topics    []topicVector
	Scopes    []textVector
	Texts     []textVector // checked as a display name of at most 64 bytes
	Endpoints []textVector
	Nonces    []textVector
}

type topicVector struct {
	Topic  string
	Device string // "" where the topic is invalid
	Way    string
}

type textVector struct {
	Text    string
	Valid   bool
	Comment string
}
