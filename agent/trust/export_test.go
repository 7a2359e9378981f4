package trust

import (
	"maps"
	"slices"

	"github.com/carillon-iot/carillon/schemas"
)

// KeyIDs are those of every bridge that is known.
func (b *Bridges) KeyIDs() []schemas.KeyID { return slices.Collect(maps.Keys(b.known)) }
