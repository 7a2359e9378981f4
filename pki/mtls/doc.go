// Package mtls is the certificate side of every Carillon connection: who a
// certificate speaks for, how TLS is configured, where certificates live on
// disk and which of them have been revoked.
//
// It imports the standard library only, because it is linked into the agent.
//
// # Identities
//
// A Carillon certificate names its holder twice: in one URI subject
// alternative name, urn:carillon:<role>:<id>, and in the common name, which
// repeats the id for brokers that read nothing else. [IdentityOf] demands that
// both are there, once, and agree.
//
// # Keys
//
// A private key is always a [crypto.Signer]: a key in a file, in a TPM or
// behind PKCS#11 looks the same to everything here.
//
// # Rotation
//
// Configurations ask for the certificate at every handshake through a
// [CertificateFunc], so that a renewed certificate is used without a restart.
// [Files] is such a function over PEM files.
//
// # Revocation
//
// TLS looks at a certificate once, at the handshake, and a connection may live
// for weeks. [RevocationList] therefore answers at any time; a server asks it
// at the handshake (see [ServerConfig]), for every message if it likes, and
// ends the connections of what has been revoked since.
package mtls
