// Package pki is a certificate authority for Carillon: step-ca embedded behind
// a listener and a router of our own, with one certificate profile for each
// role.
//
// An authority is a directory, made by [Init] on the first start: a root, an
// intermediate that signs everything, one key for each role that signs
// enrolment tokens, and a database of what was issued. [Open] opens it,
// [Authority.Run] serves it.
//
// # Who decides what a certificate says
//
// The authority. Each role has a token key of its own; the key that signed a
// token decides the role, the token decides the id and the names, the profile
// decides the rest, and the certificate request decides nothing but the public
// key. Whoever holds the device token key can therefore make devices and
// nothing else.
//
// # What is checked where
//
// A request to sign is checked three times: by the guard in front (signature,
// times, role, names, revocation; nothing is written for a token that fails),
// by step-ca (one-time use, binding to the request, names), and by the profile
// on the finished certificate before it is signed.
//
// # Revocation
//
// A holder can be revoked, which blocks it and every certificate it has, or one
// certificate, which revokes its key and so every certificate it was renewed
// into; see [Authority.Revoke] and [Authority.RevokeSerial].
//
// # Bulk
//
// [Authority.Issue] signs without a token, for programs that are the authority
// themselves. The light client for everyone else is package pki/enroll.
package pki
