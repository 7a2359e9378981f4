package provider

import "time"

// inbox is the requests of one person that may still be undecided.
type inbox struct {
	entries []*entry
	rings   int
	changed chan struct{} // closed and replaced when an entry is added
}

// after returns the undecided requests of a person newer than seen, the number
// to pass as seen next, and a channel that is closed when there are more.
func (s *requestStore) after(subject string, seen uint64) ([]Request, uint64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	box, ok := s.inboxes[subject]
	if !ok {
		return nil, seen, nil
	}
	now := time.Now()
	box.prune(now)
	var out []Request
	for _, e := range box.entries {
		if e.seq > seen {
			out = append(out, e.request)
		}
	}
	return out, s.seq, box.changed
}

func (s *requestStore) rings(subject string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if box, ok := s.inboxes[subject]; ok {
		return box.rings
	}
	return 0
}

// prune forgets what nobody can decide any more.
func (b *inbox) prune(now time.Time) {
	kept := b.entries[:0]
	for _, e := range b.entries {
		if !e.claimed && now.Before(e.request.ExpiresAt) {
			kept = append(kept, e)
		}
	}
	clear(b.entries[len(kept):])
	b.entries = kept
}
