package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// program is the command, running.
type program struct {
	t         *testing.T
	dir       string
	authority *mtlstest.Authority
	lines     chan map[string]any // of its log
	past      []map[string]any    // lines that were not waited for; owned by the test
	stop      func() int          // returns the exit status
}

// start writes what an operator would and runs serve until the test ends.
func start(t *testing.T, authority *mtlstest.Authority, args ...string) *program {
	t.Helper()
	p := &program{t: t, dir: t.TempDir(), authority: authority, lines: make(chan map[string]any, 1000)}
	p.writePEM("roots.pem", "CERTIFICATE", authority.Root.Raw)
	p.store(authority.Broker("localhost", "127.0.0.1"))
	p.writePEM("crl.pem", "X509 CRL", authority.CRL())
	args = append([]string{"serve", "--log-json", "--listen=127.0.0.1:0", "--cert=" + p.path("broker.crt"), "--key=" + p.path("broker.key"),
		"--roots=" + p.path("roots.pem")}, args...)

	ctx, cancel := context.WithCancel(context.Background())
	logged, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, args, io.Discard, w)
		w.Close()
	}()
	go p.readLog(logged)
	p.stop = sync.OnceValue(func() int {
		cancel()
		return <-code
	})
	t.Cleanup(func() { p.stop() })
	return p
}

func (p *program) readLog(r io.Reader) {
	defer close(p.lines)
	for dec := json.NewDecoder(r); ; {
		var line map[string]any
		if err := dec.Decode(&line); err != nil {
			_, _ = io.Copy(io.Discard, r)
			return
		}
		p.lines <- line
	}
}

// said waits for a line of the log and returns one of its values.
func (p *program) said(msg, key string) string {
	p.t.Helper()
	for _, line := range p.past {
		if line["msg"] == msg {
			return fmt.Sprint(line[key])
		}
	}
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the program ended without saying %q", msg)
			}
			if line["msg"] == msg {
				return fmt.Sprint(line[key])
			}
			p.past = append(p.past, line)
		case <-timeout:
			p.t.Fatalf("the program does not say %q", msg)
		}
	}
}

func (p *program) path(name string) string { return filepath.Join(p.dir, name) }

func (p *program) writePEM(name, kind string, der []byte) {
	p.t.Helper()
	if err := mtls.WriteFile(p.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) store(cert *tls.Certificate) {
	p.t.Helper()
	var chain []*x509.Certificate
	for _, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			p.t.Fatal(err)
		}
		chain = append(chain, c)
	}
	files := mtls.Files{CertFile: p.path("broker.crt"), KeyFile: p.path("broker.key")}
	if err := files.Store(cert.PrivateKey.(crypto.Signer), chain); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) config(cert *tls.Certificate) *tls.Config {
	return mtls.ClientConfig(p.authority.Roots(), mtls.Fixed(cert), "127.0.0.1")
}

// device connects a device and waits until it is up.
func (p *program) device(addr, id string, cert *tls.Certificate) *link.Link {
	p.t.Helper()
	up := make(chan struct{}, 100)
	l, err := link.New(link.Config{
		Dial: link.TLSDialer(addr, p.config(cert)), ClientID: id, OnUp: func() { up <- struct{}{} },
		MinBackoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	go l.Run(context.Background())
	p.t.Cleanup(func() { l.Close() })
	select {
	case <-up:
	case <-time.After(patience):
		p.t.Fatalf("the device does not come up: %+v", l.Status())
	}
	return l
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, what)
}
