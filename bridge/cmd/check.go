package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// check says what serve would work with.
func (s *settings) check(out io.Writer) error {
	log, err := s.logger(io.Discard)
	if err != nil {
		return err
	}
	p, err := s.build(log)
	if err != nil {
		return err
	}
	if _, _, err := s.newAuthority(p, log); err != nil {
		return err
	}
	storeKey, err := checkKeyFile("--store-key", s.beside(s.storeKey, ".key"), func(b []byte) error { _, err := parseStoreKeys(b); return err })
	if err != nil {
		return err
	}
	sealKey, err := checkKeyFile("--seal-key", s.beside(s.sealKey, ".seal"), func(b []byte) error { _, err := parseSealKeys(b); return err })
	if err != nil {
		return err
	}
	return s.printFacts(out, []fact{
		{"identity", p.self.String()},
		{"certificate until", p.cert.Leaf.NotAfter.UTC().Format(time.RFC3339)},
		{"broker", s.broker},
		{"issuer", s.issuer},
		{"client", s.clientID},
		{"database", s.db},
		{"store key", storeKey},
		{"seal key", sealKey},
	})
}

// A fact is what check-config says about one setting.
type fact struct{ Name, Value string }

func (s *settings) printFacts(out io.Writer, facts []fact) error {
	if s.json {
		all := make(map[string]string)
		for _, f := range facts {
			all[f.Name] = f.Value
		}
		return json.NewEncoder(out).Encode(all)
	}
	for _, f := range facts {
		fmt.Fprintf(out, "%-18s %s\n", f.Name, f.Value)
	}
	return nil
}
