package vehicle

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
)

// A Catalog says what may be written to which path. It never changes; Narrow
// returns another.
type Catalog struct {
	signals map[string]Signal
	paths   []string // sorted
}

// VSS6 returns the catalog of VSS 6.0.
func VSS6() *Catalog { return vss6() }

var vss6 = sync.OnceValue(func() *Catalog { return newCatalog(signalsVSS6()) })

func newCatalog(signals map[string]Signal) *Catalog {
	return &Catalog{signals, slices.Sorted(maps.Keys(signals))}
}

// Signal returns what is known of a path.
func (c *Catalog) Signal(path string) (Signal, bool) {
	s, ok := c.signals[path]
	return s, ok
}

// All returns every signal, by path.
func (c *Catalog) All() iter.Seq[Signal] {
	return func(yield func(Signal) bool) {
		for _, p := range c.paths {
			if !yield(c.signals[p]) {
				return
			}
		}
	}
}

// Narrow returns a catalog in which a number's range is least to most. It can
// only become smaller: the error says where the range would leave the present
// one, or contain no value.
func (c *Catalog) Narrow(path string, least, most float64) (*Catalog, error) {
	s, ok := c.signals[path]
	switch {
	case !ok:
		return nil, fmt.Errorf("narrowing %q: not in the catalog", path)
	case s.Type == Boolean || s.Type == String:
		return nil, fmt.Errorf("narrowing %q: a %s has no range", path, s.Type)
	case !(least >= s.Min && most <= s.Max && least <= most):
		return nil, fmt.Errorf("narrowing %q: %v to %v does not lie within %v to %v", path, least, most, s.Min, s.Max)
	}
	s.Min, s.Max = least, most
	signals := maps.Clone(c.signals)
	signals[path] = s
	return newCatalog(signals), nil
}
