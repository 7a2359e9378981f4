package bridge

import (
	"sync"
	"time"

	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/schemas"
)

// recent is a map that forgets what was not used lately: it holds the size
// entries used last, and up to as many again.
type recent[K comparable, V any] struct {
	size int

	mu         sync.Mutex // guards the maps
	young, old map[K]V
}

func newRecent[K comparable, V any](size int) *recent[K, V] {
	return &recent[K, V]{size: size, young: make(map[K]V), old: make(map[K]V)}
}

func (r *recent[K, V]) get(k K) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.getLocked(k)
}

func (r *recent[K, V]) getLocked(k K) (V, bool) {
	if v, ok := r.young[k]; ok {
		return v, true
	}
	v, ok := r.old[k]
	if ok {
		r.putLocked(k, v)
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.putLocked(k, v)
}

func (r *recent[K, V]) putLocked(k K, v V) {
	if len(r.young) >= r.size {
		r.young, r.old = make(map[K]V), r.young
	}
	r.young[k] = v
}

// A gate lets each device through at a rate. It is in memory only, and guards
// the bridge itself; quotas guard people.
type gate struct {
	rate policy.Rate
	full *recent[schemas.DeviceID, time.Time]
}

// gateSize is how many devices a gate tells apart.
const gateSize = 1 << 16

func newGate(r policy.Rate) *gate {
	return &gate{rate: r, full: newRecent[schemas.DeviceID, time.Time](gateSize)}
}

// pass reports whether the device may pass now.
func (g *gate) pass(d schemas.DeviceID, now time.Time) bool {
	g.full.mu.Lock()
	defer g.full.mu.Unlock()
	full, _ := g.full.getLocked(d)
	next, wait := g.rate.Take(full, now)
	if wait > 0 {
		return false
	}
	g.full.putLocked(d, next)
	return true
}
