package pki_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// A holder who asks and does not read the answer keeps nobody else waiting.
func TestAnswerThatNobodyReads(t *testing.T) {
	w := newWorld(t, nil)
	var names []string // for an answer that no buffer of net/http holds
	for i := range 20 {
		names = append(names, fmt.Sprintf("%02d%s.example.com", i, strings.Repeat("x", 60)))
	}
	slow, other := w.enroll(broker("b1"), names...), w.enroll(device("d2"))
	cfg := mtls.ClientConfig(w.Roots(), mtls.Fixed(slow.tls(t)), "127.0.0.1")
	cfg.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(renewalsNotRead(3)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	renewed := make(chan error, 1)
	go func() {
		_, err := w.renew(other)
		renewed <- err
	}()
	select {
	case err := <-renewed:
		if err != nil {
			t.Errorf("renewing: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("one who does not read holds up all others")
	}
}

// renewalsNotRead is what a client of HTTP/2 (RFC 9113) sends that asks n times
// to be renewed, in a window of no bytes for the answers.
func renewalsNotRead(n int) []byte {
	var out bytes.Buffer
	frame := func(kind, flags byte, stream uint32, payload []byte) {
		head := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))[1:]
		head = append(head, kind, flags)
		out.Write(binary.BigEndian.AppendUint32(head, stream))
		out.Write(payload)
	}
	out.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	frame(4, 0, 0, []byte{0, 4, 0, 0, 0, 0}) // SETTINGS_INITIAL_WINDOW_SIZE 0
	var headers []byte
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":path", "/renew"}, {":authority", "127.0.0.1"}} {
		headers = append(headers, 0, byte(len(h[0])))
		headers = append(append(headers, h[0]...), byte(len(h[1])))
		headers = append(headers, h[1]...)
	}
	for i := range n {
		frame(1, 5, uint32(2*i+1), headers) // HEADERS: whole, and no body
	}
	return out.Bytes()
}
