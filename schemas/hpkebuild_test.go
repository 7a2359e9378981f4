package schemas_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256
// and AES-128-GCM, spelled out: the vectors are sealed by this and opened by
// the package, and the ephemeral key is chosen.

var (
	kemSuite  = []byte{'K', 'E', 'M', 0, 0x20}
	hpkeSuite = []byte{'H', 'P', 'K', 'E', 0, 0x20, 0, 1, 0, 1}
)

func labeledExtract(salt, suite []byte, label string, ikm []byte) []byte {
	in := cat([]byte("HPKE-v1"), suite, []byte(label), ikm)
	return try(hkdf.Extract(sha256.New, in, salt))
}

func labeledExpand(prk, suite []byte, label string, info []byte, n int) []byte {
	in := binary.BigEndian.AppendUint16(nil, uint16(n))
	in = cat(in, []byte("HPKE-v1"), suite, []byte(label), info)
	return try(hkdf.Expand(sha256.New, prk, string(in), n))
}

// hpkeSeal returns enc and the ciphertext.
func hpkeSeal(to *ecdh.PublicKey, ephemeral *ecdh.PrivateKey, aad, plaintext []byte) (enc, ct []byte) {
	enc = ephemeral.PublicKey().Bytes()
	dh := try(ephemeral.ECDH(to))
	prk := labeledExtract(nil, kemSuite, "eae_prk", dh)
	shared := labeledExpand(prk, kemSuite, "shared_secret", cat(enc, to.Bytes()), 32)

	context := cat([]byte{0}, labeledExtract(nil, hpkeSuite, "psk_id_hash", nil), labeledExtract(nil, hpkeSuite, "info_hash", nil))
	secret := labeledExtract(shared, hpkeSuite, "secret", nil)
	key := labeledExpand(secret, hpkeSuite, "key", context, 16)
	nonce := labeledExpand(secret, hpkeSuite, "base_nonce", context, 12)
	aead := try(cipher.NewGCM(try(aes.NewCipher(key))))
	return enc, aead.Seal(nil, nonce, plaintext, aad)
}

func try[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
