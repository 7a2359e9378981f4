package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeySize is the length of a key in bytes: AES-256.
const KeySize = 32

// A Keyring encrypts with its first key and decrypts with all of them, so a new
// key is taken up by putting it in front. The old one may go when nothing is
// left that it encrypted, see [Store.Reseal]. It is immutable.
//
// A ciphertext is a version byte, the id of the key, and the nonce, ciphertext
// and tag of AES-256-GCM (NIST SP 800-38D) with a random nonce, so a key serves
// for 2^32 of them.
type Keyring struct {
	first keyName
	keys  map[keyName]cipher.AEAD
}

// A keyName is the beginning of the SHA-256 of a key and of a label.
type keyName [4]byte

const cipherVersion = 1

// NewKeyring returns a ring of keys, each of KeySize bytes.
func NewKeyring(keys ...[]byte) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("keyring: no key given")
	}
	k := &Keyring{keys: make(map[keyName]cipher.AEAD)}
	for i, key := range keys {
		if len(key) != KeySize {
			return nil, fmt.Errorf("keyring: key %d has %d bytes, want %d", i+1, len(key), KeySize)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		name := nameKey(key)
		if _, ok := k.keys[name]; ok {
			return nil, fmt.Errorf("keyring: key %d is there twice", i+1)
		}
		k.keys[name] = aead
		if i == 0 {
			k.first = name
		}
	}
	return k, nil
}

func nameKey(key []byte) keyName {
	sum := sha256.Sum256(append([]byte("carillon key id\x00"), key...))
	return keyName(sum[:4])
}

// seal encrypts plain; where names the only place at which it may be opened.
func (k *Keyring) seal(where string, plain []byte) []byte {
	out := append([]byte{cipherVersion}, k.first[:]...)
	return k.keys[k.first].Seal(out, nil, plain, []byte(where))
}

// open is the inverse of seal. Its errors do not say where, which may name a
// person.
func (k *Keyring) open(where string, sealed []byte) ([]byte, error) {
	if len(sealed) < 5 || sealed[0] != cipherVersion {
		return nil, errors.New("not in a form that this program writes")
	}
	aead, ok := k.keys[keyName(sealed[1:5])]
	if !ok {
		return nil, fmt.Errorf("encrypted under key %s, which is not among the keys given", hex.EncodeToString(sealed[1:5]))
	}
	plain, err := aead.Open(nil, nil, sealed[5:], []byte(where))
	if err != nil {
		return nil, errors.New("changed, or not of this place")
	}
	return plain, nil
}

// The name of the key of the keyed hashes, and the place of its row.
const (
	indexName  = "index"
	indexPlace = "secrets/" + indexName
)

// loadIndexKey reads the key of the keyed hashes, and makes it in a new
// database. It belongs to the state, so it stays when the keyring is rotated.
func (s *Store) loadIndexKey(t *tx) error {
	fresh := make([]byte, KeySize)
	rand.Read(fresh)
	_, err := t.exec("INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
		indexName, s.keys.seal(indexPlace, fresh))
	if err != nil {
		return err
	}
	var sealed []byte
	if _, err := t.get("SELECT value FROM secrets WHERE name = $1", []any{indexName}, &sealed); err != nil {
		return err
	}
	if s.index, err = s.keys.open(indexPlace, sealed); err != nil {
		return fmt.Errorf("the state's own key: %w", err)
	}
	if keyName(sealed[1:5]) == s.keys.first {
		return nil
	}
	_, err = t.exec("UPDATE secrets SET value = $1 WHERE name = $2 AND value = $3",
		s.keys.seal(indexPlace, s.index), indexName, sealed)
	return err
}

// A Person is a keyed hash of who a person is, the same on all devices and of
// no use outside this database.
type Person [16]byte

// String returns the hash in hexadecimal.
func (p Person) String() string { return hex.EncodeToString(p[:]) }

// Subject returns the Person of a provider's subject.
func (s *Store) Subject(issuer, subject string) Person {
	return s.index.hash("subject", issuer, subject)
}

// An indexKey is the key of the keyed hashes.
type indexKey []byte

// hash is a keyed hash of texts.
func (k indexKey) hash(texts ...string) Person {
	mac := hmac.New(sha256.New, k)
	for _, t := range texts {
		sum := sha256.Sum256([]byte(t))
		mac.Write(sum[:])
	}
	return Person(mac.Sum(nil)[:16])
}
