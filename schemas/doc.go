// Package schemas is Carillon's wire: the messages a device and a bridge
// exchange over MQTT, how they are signed, and how what only one side may
// read is sealed.
//
// The CDDL in carillon.cddl is normative and README.md explains it; this
// package follows. The vectors in testdata/vectors are the judge of both.
//
// # A message
//
// Each [Message] is a deterministic CBOR map with integer keys (RFC 8949
// section 4.2.1). A non-negative key is registered: an OAuth parameter
// (RFC 9200, RFC 9201) or a CWT claim (RFC 8392); a negative key is
// Carillon's own. The map is the payload of an untagged COSE_Sign1 (RFC 9052)
// whose external_aad is the MQTT topic. A [Signer] makes it; [Parse] and
// [Envelope.Verify] take it apart.
//
// Decoding is strict: whatever [Parse] and [Envelope.Verify] accept, encoding
// gives back byte for byte. Every failure is an [*Error] with a [Class], and
// no partial result comes with it.
//
// # A secret
//
// The sign-in hint (device to bridge) and the grant (bridge to device) are
// sealed as COSE_Encrypt0 with HPKE (see [SealHint] and [SealGrant]), so that
// the broker between them reads neither.
package schemas
