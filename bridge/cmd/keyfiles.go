package cmd

import (
	"bufio"
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

const storeKeyHead = `# Keys that encrypt the secrets in the database: 64 hexadecimal digits a line.
# The first encrypts, all decrypt. To change it, put a new one in front.
`

func freshStoreKey() ([]byte, error) {
	key := make([]byte, store.KeySize)
	rand.Read(key)
	return []byte(storeKeyHead + hex.EncodeToString(key) + "\n"), nil
}

// parseStoreKeys reads what freshStoreKey writes, with any number of keys. They
// may also stand in one line, with commas between them.
func parseStoreKeys(data []byte) (*store.Keyring, error) {
	var keys [][]byte
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for text := range strings.SplitSeq(line, ",") {
			key, err := hex.DecodeString(strings.TrimSpace(text))
			if err != nil || len(key) != store.KeySize {
				return nil, fmt.Errorf("line %d is not %d hexadecimal digits", n, 2*store.KeySize)
			}
			keys = append(keys, key)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return store.NewKeyring(keys...)
}

func freshSealKey() ([]byte, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parseSealKeys reads X25519 keys in PKCS #8, as freshSealKey and "openssl
// genpkey -algorithm X25519" write them. The first is told to devices.
func parseSealKeys(data []byte) (keys []*schemas.SealKey, err error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("key %d (%q): %w", len(keys)+1, block.Type, err)
		}
		key, ok := parsed.(*ecdh.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("key %d is a %T, want X25519", len(keys)+1, parsed)
		}
		sealKey, err := schemas.NewSealKey(key)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", len(keys)+1, err)
		}
		keys = append(keys, sealKey)
	}
	if len(keys) == 0 {
		return nil, errors.New("no PEM block with a key in it")
	}
	return keys, nil
}
