package provider

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"
)

// assertionLifetime is how far in the future go-oidc lets a client assertion
// expire, and so how long its jti must be remembered.
const assertionLifetime = 10 * time.Minute

// maxReplays bounds the remembered assertions. Beyond it assertions are
// refused, because one that cannot be remembered could be replayed.
const maxReplays = 1 << 20

// replayMemory remembers the jti of client assertions until they have expired.
type replayMemory struct {
	mu    sync.Mutex
	seen  map[string]time.Time // jti to when it may be forgotten
	swept time.Time
}

func newReplayMemory() *replayMemory { return &replayMemory{seen: map[string]time.Time{}} }

// consume fails if the jti was consumed before.
func (m *replayMemory) consume(_ context.Context, jti string) error {
	if len(jti) > 256 {
		return errors.New("jti is longer than 256 bytes")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Sub(m.swept) >= sweepEvery {
		m.swept = now
		maps.DeleteFunc(m.seen, func(_ string, until time.Time) bool { return now.After(until) })
	}
	if until, ok := m.seen[jti]; ok && !now.After(until) {
		return errors.New("jti was used before")
	}
	if len(m.seen) >= maxReplays {
		return errors.New("too many assertions to remember")
	}
	m.seen[jti] = now.Add(assertionLifetime + time.Minute)
	return nil
}
