package outbox

import (
	"bytes"
	"sync"
)

// Memory keeps records for as long as the process lives, for simulations. The
// zero value is empty. It may be used concurrently.
type Memory struct {
	mu      sync.Mutex // guards records
	records map[string][]byte
}

// Put replaces a record.
func (m *Memory) Put(name string, data []byte) error {
	if err := checkName(name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = map[string][]byte{}
	}
	m.records[name] = bytes.Clone(data)
	return nil
}

// Delete forgets a record.
func (m *Memory) Delete(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, name)
	return nil
}

// Load returns a copy of every record.
func (m *Memory) Load() (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string][]byte, len(m.records))
	for name, data := range m.records {
		all[name] = bytes.Clone(data)
	}
	return all, nil
}
