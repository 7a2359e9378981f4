package store

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/carillon-iot/carillon/schemas"
)

// aliasPlace is the only place at which an alias opens.
const aliasPlace = "aliases"

// Alias returns a name of a request for strangers, in characters of base64url:
// it says neither which request nor which device that is, and two aliases of one
// request are not seen to be that. Any process with the database's keys
// understands it, and nothing is stored. It has at most 160 characters.
func (s *Store) Alias(k Key) string {
	return base64.RawURLEncoding.EncodeToString(s.keys.seal(aliasPlace, append(k.ID[:], k.Device...)))
}

// Unalias returns the request of an alias. Whether the request is still there is
// another question.
func (s *Store) Unalias(alias string) (Key, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(alias)
	if err != nil {
		return Key{}, fmt.Errorf("alias of a request: %w", err)
	}
	plain, err := s.keys.open(aliasPlace, sealed)
	if err != nil {
		return Key{}, fmt.Errorf("alias of a request: %w", err)
	}
	var k Key
	k.Device = schemas.DeviceID(plain[copy(k.ID[:], plain):])
	return k, nil
}

// DeriveKey returns KeySize bytes of key for a purpose. They belong to the
// state like the key of the hashes: all processes of a database get the same
// ones, and they stay when the keyring is rotated.
func (s *Store) DeriveKey(purpose string) ([]byte, error) {
	key, err := hkdf.Expand(sha256.New, s.index, "carillon "+purpose, KeySize)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	return key, nil
}
