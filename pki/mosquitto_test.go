package pki_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// mosquitto is Debian's broker with the files in docs/mosquitto, of which only
// the paths and the port are changed.
type mosquitto struct {
	files
	w       *world
	program string
	addr    string
	cmd     *exec.Cmd // nil while it is stopped
	log     bytes.Buffer
}

func installMosquitto(t *testing.T, w *world, program string) *mosquitto {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close() // it is given a port, not a listener
	m := &mosquitto{files: files{t, t.TempDir()}, w: w, program: program, addr: listener.Addr().String()}
	_, port, _ := net.SplitHostPort(m.addr)
	m.copy("mosquitto.conf", "/etc/mosquitto/carillon/", m.dir+"/", "listener 8883\n", "listener "+port+" 127.0.0.1\n")
	m.copy("acl")
	m.writeCertificates("roots.pem", w.Root())
	broker := w.enroll(broker("mq"), "127.0.0.1")
	m.writeCertificates("broker.crt", broker.chain...)
	key, err := x509.MarshalPKCS8PrivateKey(broker.key)
	if err != nil {
		t.Fatal(err)
	}
	m.write("broker.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	m.writeCRL(w)
	// It gives up root before it reads them; these are throw-away keys.
	for dir := m.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755)
	}
	t.Cleanup(func() {
		m.stop()
		if t.Failed() {
			t.Logf("mosquitto said:\n%s", m.log.String())
		}
	})
	return m
}

// copy copies a documented file with changes, and fails if there is nothing to
// change: the file would not be the documented one.
func (m *mosquitto) copy(name string, oldnew ...string) {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join("../docs/mosquitto", name))
	if err != nil {
		m.t.Fatal(err)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(string(text), oldnew[i]) {
			m.t.Fatalf("docs/mosquitto/%s does not contain %q", name, oldnew[i])
		}
		text = bytes.ReplaceAll(text, []byte(oldnew[i]), []byte(oldnew[i+1]))
	}
	m.write(name, text)
}

// start waits until it listens.
func (m *mosquitto) start() {
	m.t.Helper()
	m.cmd = exec.Command(m.program, "-v", "-c", m.path("mosquitto.conf"))
	m.cmd.Stdout, m.cmd.Stderr = &m.log, &m.log
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	for range 500 {
		if conn, err := net.Dial("tcp", m.addr); err == nil {
			conn.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	m.stop()
	m.t.Fatalf("mosquitto does not listen on %s:\n%s", m.addr, m.log.String())
}

func (m *mosquitto) stop() {
	if m.cmd != nil {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
		m.cmd = nil
	}
}

// connect reports how mosquitto answers to the holder of a certificate: nil is
// an accepted CONNECT. A certificate is refused after the handshake, as always in
// TLS 1.3, by an alert or, if that is overtaken, a reset.
func (m *mosquitto) connect(e enrolled) error {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 20*time.Second)
	defer cancel()
	dialer := tls.Dialer{Config: mtls.ClientConfig(m.w.Roots(), mtls.Fixed(e.tls(m.t)), "127.0.0.1")}
	conn, err := dialer.DialContext(ctx, "tcp", m.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	// MQTT 3.1.1 section 3.1: a clean session, 60 s, no client id.
	if _, err := conn.Write([]byte("\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")); err != nil {
		return err
	}
	var answer [4]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	if want := [4]byte{0x20, 2, 0, 0}; answer != want {
		m.t.Errorf("%s: CONNACK %x, want %x", e.leaf().Subject, answer, want)
	}
	return nil
}
