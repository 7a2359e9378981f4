package cmd

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
)

// A provider that sends an answer twice has net/http write the second one to the
// standard logger.
func TestStandardLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written strings.Builder
		log.SetOutput(unquoted{&written})
		defer log.SetOutput(os.Stderr)
		const token = "a-token-that-nobody-may-read"
		here, there := net.Pipe()
		go func() {
			if _, err := http.ReadRequest(bufio.NewReader(there)); err != nil {
				t.Error(err)
			}
			answer := "HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n" + token
			io.WriteString(there, answer+answer)
		}()
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil }}
		resp, err := (&http.Client{Transport: transport}).Get("http://op.test/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != token {
			t.Fatalf("body %q, %v", body, err)
		}
		synctest.Wait()
		if !strings.Contains(written.String(), "Unsolicited response") {
			t.Errorf("net/http has written %q: this test sees nothing", written.String())
		}
		if strings.Contains(written.String(), token) {
			t.Errorf("the token is in the log:\n%s", written.String())
		}
	})
}
