package mtls_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// source is an authority that can be down.
type source struct {
	mu  sync.Mutex // guards everything
	der []byte
	err error
	log bytes.Buffer // of the list
}

func (s *source) fetch(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.der, s.err
}

func (s *source) answer(der []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.der, s.err = der, err
}

func (s *source) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *source) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func newList(t *testing.T, ca *mtlstest.Authority, s *source, change func(*mtls.RevocationConfig)) *mtls.RevocationList {
	t.Helper()
	cfg := mtls.RevocationConfig{
		Source:  s.fetch,
		Issuers: []*x509.Certificate{ca.Intermediate},
		Logger:  slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	l, err := mtls.NewRevocationList(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRevocationList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := mtlstest.New(t)
		x1, x2 := ca.Device("x1").Leaf, ca.Device("x2").Leaf
		src := &source{err: errors.New("authority is down")}
		var changes atomic.Int32
		list := newList(t, ca, src, func(c *mtls.RevocationConfig) {
			c.Every = 10 * time.Second
			c.OnChange = func() { changes.Add(1) }
			c.Logger = slog.New(slog.NewTextHandler(src, nil))
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- list.Run(ctx) }()

		time.Sleep(time.Minute)
		if s := list.Status(); s.Loaded() || !s.Stale(time.Now()) || s.Age(time.Now()) >= 0 || s.Err == nil {
			t.Errorf("status before the first list: %+v", s)
		}
		if n := strings.Count(src.logged(), "there has been none yet"); n != 1 {
			t.Errorf("%d complaints in a minute, want 1:\n%s", n, src.logged())
		}

		src.answer(ca.CRL(), nil)
		time.Sleep(11 * time.Second)
		if s := list.Status(); !s.Loaded() || s.Stale(time.Now()) || s.Age(time.Now()) > 10*time.Second || s.Err != nil || s.Entries != 0 {
			t.Errorf("status after the first list: %+v", s)
		}
		if list.Revoked(x1) || changes.Load() != 0 {
			t.Errorf("revoked out of nothing, %d changes", changes.Load())
		}

		ca.Revoke(x1)
		src.answer(ca.CRL(), nil)
		time.Sleep(11 * time.Second)
		if !list.Revoked(x1) || list.Revoked(x2) || changes.Load() != 1 {
			t.Errorf("revoked x1 %v, x2 %v, %d changes", list.Revoked(x1), list.Revoked(x2), changes.Load())
		}
		src.answer(ca.CRL(), nil) // nothing new in it
		time.Sleep(11 * time.Second)
		if changes.Load() != 1 {
			t.Errorf("%d changes, want 1", changes.Load())
		}

		// The authority is down for longer than its list is good.
		src.answer(nil, errors.New("authority is down"))
		time.Sleep(25 * time.Hour)
		if n := strings.Count(src.logged(), "the last good one stays in force"); n != 1 {
			t.Errorf("%d complaints in a day, want 1:\n%s", n, src.logged())
		}
		if s := list.Status(); !list.Revoked(x1) || !s.Stale(time.Now()) || s.Age(time.Now()) < 24*time.Hour {
			t.Errorf("revoked %v, status %+v", list.Revoked(x1), s)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestRevocationListRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, stranger := mtlstest.New(t), mtlstest.New(t)
		x1 := ca.Device("x1").Leaf
		before := ca.CRL()
		time.Sleep(time.Second)
		ca.Revoke(x1)
		now := ca.CRL()
		flipped := bytes.Clone(now)
		flipped[len(flipped)-1] ^= 1

		for _, c := range []struct {
			name, want string
			der        []byte
		}{
			{"yesterday's list", "older than the one in force", before},
			{"list of a stranger", "signature", stranger.CRL()},
			{"tampered list", "", flipped},
			{"no list", "", nil},
			{"a page", "", []byte("<html>")},
			{"too large", "at most", make([]byte, 33<<20)},
		} {
			src := &source{der: now}
			list := newList(t, ca, src, nil)
			if err := list.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			src.der = c.der
			err := list.Refresh(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
			}
			if !list.Revoked(x1) || list.Status().Err == nil {
				t.Errorf("%s: the last good list is gone", c.name)
			}
		}
	})
}

// A list with an extension that limits it must not pass for a whole one.
func TestRevocationListExtensions(t *testing.T) {
	root, key := selfSigned(t)
	idp := func(bits ...asn1.RawValue) pkix.Extension {
		value, err := asn1.Marshal(bits)
		if err != nil {
			t.Fatal(err)
		}
		return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: value}
	}
	yes := func(tag int) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte{0xff}}
	}
	url := asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: []byte{0xa0, 0x03, 0x86, 0x01, 'u'}}
	for _, c := range []struct {
		name string
		ok   bool
		ext  pkix.Extension
	}{
		{"where it is published", true, idp(url)},
		{"user certificates only", true, idp(url, yes(1))},
		{"authorities only", false, idp(url, yes(2))},
		{"some reasons only", false, idp(url, asn1.RawValue{Class: 2, Tag: 3, Bytes: []byte{0, 0xff}})},
		{"indirect", false, idp(url, yes(4))},
		{"attribute certificates", false, idp(url, yes(5))},
		{"delta", false, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}},
		{"unknown but harmless", true, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}},
		{"garbled distribution point", false, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{1}}},
	} {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
			ExtraExtensions: []pkix.Extension{c.ext},
		}, root, key)
		if err != nil {
			t.Fatal(err)
		}
		list, err := mtls.NewRevocationList(mtls.RevocationConfig{
			Source:  (&source{der: der}).fetch,
			Issuers: []*x509.Certificate{root},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := list.Refresh(t.Context()); (err == nil) != c.ok {
			t.Errorf("%s: %v, want accepted %v", c.name, err, c.ok)
		}
	}
}

// While an intermediate is being replaced there are two issuers with the same
// name, and serial numbers of one say nothing about the other's.
func TestRevocationListTwoIssuers(t *testing.T) {
	old, next := mtlstest.New(t), mtlstest.New(t)
	a, b := old.Device("x1").Leaf, next.Device("x1").Leaf
	if a.SerialNumber.Cmp(b.SerialNumber) != 0 {
		t.Fatal("the serial numbers differ: the test proves nothing")
	}
	old.Revoke(a)
	src := &source{der: old.CRL()}
	list := newList(t, old, src, func(c *mtls.RevocationConfig) { c.Issuers = append(c.Issuers, next.Intermediate) })
	if err := list.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	src.der = next.CRL()
	if err := list.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !list.Revoked(a) || list.Revoked(b) {
		t.Errorf("revoked by the old issuer %v, by the next %v, want true and false", list.Revoked(a), list.Revoked(b))
	}
}

func TestNewRevocationListErrors(t *testing.T) {
	ca := mtlstest.New(t)
	for _, cfg := range []mtls.RevocationConfig{
		{Issuers: []*x509.Certificate{ca.Intermediate}},
		{Source: (&source{}).fetch},
		{Source: (&source{}).fetch, Issuers: []*x509.Certificate{ca.Intermediate}, Every: -1},
	} {
		if _, err := mtls.NewRevocationList(cfg); err == nil {
			t.Errorf("accepted %+v", cfg)
		}
	}
}

// A source that hands over anything at all never makes the list forget.
func FuzzRevocationList(f *testing.F) {
	ca := mtlstest.New(f)
	x1 := ca.Device("x1").Leaf
	ca.Revoke(x1)
	good := ca.CRL()
	f.Add(good)
	f.Add(ca.CRL())
	f.Add([]byte{})
	f.Add([]byte{0x30, 0x80})
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, der []byte) {
		src := &source{der: good}
		list, err := mtls.NewRevocationList(mtls.RevocationConfig{
			Source:  src.fetch,
			Issuers: []*x509.Certificate{ca.Intermediate},
			Logger:  slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := list.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		src.der = der
		_ = list.Refresh(t.Context())
		if !list.Revoked(x1) {
			t.Fatalf("%x made the list forget a revocation", der)
		}
	})
}

func selfSigned(t *testing.T) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key := mtlstest.Key(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}
