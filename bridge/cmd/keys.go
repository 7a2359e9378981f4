package cmd

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// inEnvironment begins a setting of keys that are not in a file but in a
// variable of the environment.
const inEnvironment = "env:"

// storeKeys says where the keys are that encrypt secrets: a file, or a variable.
func (s *settings) storeKeys() (source string, err error) {
	switch {
	case s.storeKey != "":
		return s.storeKey, nil
	case s.shared(): // there is no place beside the database
		return "", usagef("--store-key is missing: with PostgreSQL all bridges must be given the same one")
	}
	return s.db + ".key", nil
}

// sealKeys says where the keys are to which devices seal hints; "" if the state
// itself has one.
func (s *settings) sealKeys() (source string) {
	if s.sealKey != "" || s.shared() {
		return s.sealKey
	}
	return s.db + ".seal"
}

// readKeys returns the text of keys.
func (s *settings) readKeys(source string) ([]byte, error) {
	name, ok := strings.CutPrefix(source, inEnvironment)
	if !ok {
		return os.ReadFile(source)
	}
	for _, e := range s.environ {
		if value, ok := strings.CutPrefix(e, name+"="); ok && value != "" {
			return []byte(value), nil
		}
	}
	return nil, fmt.Errorf("the environment has no %s", name)
}

// readOrMake is readKeys, but a file that does not exist is made, and that is
// said.
func (s *settings) readOrMake(source string, fresh func() ([]byte, error), log *slog.Logger) ([]byte, error) {
	data, err := s.readKeys(source)
	switch {
	case err == nil:
		if info, err := os.Stat(source); err == nil && info.Mode().Perm()&0o077 != 0 {
			log.Warn("others may read a key file: make its mode 0600", "file", source, "mode", info.Mode().Perm().String())
		}
		return data, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if data, err = fresh(); err != nil {
		return nil, err
	}
	if err := mtls.WriteFile(source, data); err != nil {
		return nil, err
	}
	log.Info("made a key file; it belongs into the back-up, apart from the database", "file", source)
	return data, nil
}

// openStoreKeys reads the keys that encrypt secrets, and makes them with a new
// database.
func (s *settings) openStoreKeys(log *slog.Logger) (*store.Keyring, error) {
	source, err := s.storeKeys()
	if err != nil {
		return nil, err
	}
	if err := s.storeKeyLost(source); err != nil {
		return nil, err
	}
	data, err := s.readOrMake(source, freshStoreKey, log)
	if err != nil {
		return nil, fmt.Errorf("--store-key: %w", err)
	}
	ring, err := parseStoreKeys(data)
	if err != nil {
		return nil, fmt.Errorf("--store-key: %q: %w", source, err)
	}
	return ring, nil
}

// storeKeyLost returns an error if there is a database and no key to it: a fresh
// one would open nothing.
func (s *settings) storeKeyLost(source string) error {
	if strings.HasPrefix(source, inEnvironment) || s.shared() {
		return nil
	}
	if _, err := os.Stat(source); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if info, err := os.Stat(s.db); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil
	}
	return fmt.Errorf("--store-key: %q does not exist, and the database %q cannot be opened without it: bring it back from the back-up", source, s.db)
}

// openSealKeys reads the keys to which devices seal hints, or makes them.
// Bridges that share their state share a key of it, if they are given no other.
func (s *settings) openSealKeys(st *store.Store, log *slog.Logger) ([]*schemas.SealKey, error) {
	source := s.sealKeys()
	if source == "" {
		return sealKeyOf(st)
	}
	data, err := s.readOrMake(source, freshSealKey, log)
	if err != nil {
		return nil, fmt.Errorf("--seal-key: %w", err)
	}
	keys, err := parseSealKeys(data)
	if err != nil {
		return nil, fmt.Errorf("--seal-key: %q: %w", source, err)
	}
	return keys, nil
}

// sealKeyOf derives a key from those of the state.
func sealKeyOf(st *store.Store) ([]*schemas.SealKey, error) {
	secret, err := st.DeriveKey("seal key")
	if err != nil {
		return nil, err
	}
	private, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		return nil, err
	}
	key, err := schemas.NewSealKey(private)
	if err != nil {
		return nil, err
	}
	return []*schemas.SealKey{key}, nil
}

// checkKeys says what is known about keys, without making them.
func (s *settings) checkKeys(flagName, source string, parse func([]byte) error) (string, error) {
	data, err := s.readKeys(source)
	if errors.Is(err, fs.ErrNotExist) {
		return source + " (will be made)", nil
	}
	if err == nil {
		err = parse(data)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %q: %w", flagName, source, err)
	}
	return source, nil
}
