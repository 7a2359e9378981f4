package link_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// mosquitto is Debian's broker with the configuration in docs/mosquitto. Only
// the paths and the port are changed.
type mosquitto struct {
	Authority *mtlstest.Authority

	t    *testing.T
	path string // of the program
	dir  string
	addr string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

const (
	confDir    = "../../docs/mosquitto"
	installDir = "/etc/mosquitto/carillon"
)

// startMosquitto starts it, or skips the test where it is not installed.
func startMosquitto(t *testing.T) *mosquitto {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/mosquitto")
	}
	if err != nil && os.Getenv("CARILLON_INTEROP") == "1" {
		t.Fatal("CARILLON_INTEROP=1, but mosquitto is not installed")
	}
	if err != nil {
		t.Skip("NOT TESTED against Eclipse Mosquitto, which is not installed here: apt-get install mosquitto")
	}
	m := &mosquitto{Authority: mtlstest.New(t), t: t, path: path, dir: t.TempDir(), addr: freeAddress(t)}
	m.install()
	m.start()
	t.Cleanup(func() {
		m.kill()
		if t.Failed() {
			t.Logf("mosquitto said:\n%s", m.log.String())
		}
	})
	return m
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// install writes what an operator would: configuration, rules, certificates.
func (m *mosquitto) install() {
	m.t.Helper()
	_, port, _ := net.SplitHostPort(m.addr)
	conf := m.replace(m.read("mosquitto.conf"), installDir+"/", m.dir+"/")
	conf = m.replace(conf, "listener 8883\n", "listener "+port+" 127.0.0.1\n")
	m.write("mosquitto.conf", []byte(conf))
	m.write("acl", []byte(m.read("acl")))
	m.write("roots.pem", encodePEM("CERTIFICATE", m.Authority.Root.Raw))
	m.writeBroker()
	m.writeCRL()
	// The broker gives up root; these are throw-away keys.
	for dir := m.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755)
	}
}

// writeBroker writes a new certificate and key of the broker.
func (m *mosquitto) writeBroker() {
	m.t.Helper()
	broker := m.Authority.Broker("127.0.0.1", "localhost")
	var chain []byte
	for _, der := range broker.Certificate {
		chain = append(chain, encodePEM("CERTIFICATE", der)...)
	}
	m.write("broker.crt", chain)
	key, err := x509.MarshalPKCS8PrivateKey(broker.PrivateKey)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write("broker.key", encodePEM("PRIVATE KEY", key))
}

func (m *mosquitto) writeCRL() { m.write("crl.pem", encodePEM("X509 CRL", m.Authority.CRL())) }

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (m *mosquitto) read(name string) string {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(confDir, name))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

func (m *mosquitto) write(name string, b []byte) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), b, 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// replace fails when there is nothing to replace: the configuration would not
// be the documented one.
func (m *mosquitto) replace(s, old, with string) string {
	m.t.Helper()
	if !strings.Contains(s, old) {
		m.t.Fatalf("the configuration does not contain %q", old)
	}
	return strings.ReplaceAll(s, old, with)
}

// start waits until the broker listens.
func (m *mosquitto) start() {
	m.t.Helper()
	m.cmd = exec.Command(m.path, "-v", "-c", filepath.Join(m.dir, "mosquitto.conf"))
	m.cmd.Stdout, m.cmd.Stderr = &m.log, &m.log
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	for range 500 {
		conn, err := net.Dial("tcp", m.addr)
		if err == nil {
			conn.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	m.kill()
	m.t.Fatalf("mosquitto does not listen on %s:\n%s", m.addr, m.log.String())
}

// kill is kill -9.
func (m *mosquitto) kill() {
	if m.cmd != nil {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
		m.cmd = nil
	}
}

// dial is a link.Config.Dial for the holder of cert.
func (m *mosquitto) dial(cert *tls.Certificate) func(context.Context) (net.Conn, error) {
	return linkTLS(m.addr, mtls.ClientConfig(m.Authority.Roots(), mtls.Fixed(cert), "127.0.0.1"))
}

func (m *mosquitto) String() string { return fmt.Sprintf("mosquitto on %s", m.addr) }
