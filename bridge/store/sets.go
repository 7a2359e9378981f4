package store

// maxRows is how many changes of one kind are made together at most.
const maxRows = 128

// A set is a kind of change that many writes may ask for at the same time: a few
// statements make it for all of them.
type set interface {
	// together makes the changes of at most maxRows writes, which are about
	// different things.
	together(*tx, []*write) error
}

// A kind is a set whose changes are described by a T, which also takes the result.
// Like every write, they may be made twice.
type kind[T any] struct {
	all func(*tx, []*T) error
}

func (k *kind[T]) together(t *tx, writes []*write) error {
	items := make([]*T, len(writes))
	for i, w := range writes {
		items[i] = w.item.(*T)
	}
	return k.all(t, items)
}

// sets makes the changes of a batch that belong to sets, in the order in which
// these come first, so that two bridges are seldom in each other's way.
func (t *tx) sets(batch []*write) error {
	var order []set
	members := make(map[set][]*write)
	for _, w := range batch {
		if w.of == nil {
			continue
		}
		if members[w.of] == nil {
			order = append(order, w.of)
		}
		members[w.of] = append(members[w.of], w)
	}
	for _, s := range order {
		for writes := members[s]; len(writes) > 0; {
			now, later := distinct(writes)
			if err := s.together(t, now); err != nil {
				return err
			}
			writes = later
		}
	}
	return nil
}

// distinct takes from writes as many as are made together, at most one about each
// thing.
func distinct(writes []*write) (now, later []*write) {
	about := make(map[any]bool)
	for _, w := range writes {
		if len(now) == maxRows || (w.about != nil && about[w.about]) {
			later = append(later, w)
			continue
		}
		about[w.about] = true
		now = append(now, w)
	}
	return now, later
}
