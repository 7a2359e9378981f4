package bridge

import (
	"errors"

	"github.com/carillon-iot/carillon/schemas"
)

// sealing are the keys to which devices seal what is for the bridge alone. It is
// immutable.
type sealing struct {
	first schemas.PublicKey // which devices are told
	keys  map[schemas.KeyID]*schemas.SealKey
}

func newSealing(keys []*schemas.SealKey) *sealing {
	s := &sealing{first: keys[0].Public(), keys: make(map[schemas.KeyID]*schemas.SealKey)}
	for _, k := range keys {
		s.keys[k.Public().ID()] = k
	}
	return s
}

// SetSealKeys replaces Config.SealKeys, at any time. Devices are told the first
// one with their next welcome.
func (b *Bridge) SetSealKeys(keys []*schemas.SealKey) error {
	if len(keys) == 0 {
		return errors.New("bridge: no sealing key given")
	}
	b.sealing.Store(newSealing(keys))
	b.wakeHouse.wake()
	return nil
}
