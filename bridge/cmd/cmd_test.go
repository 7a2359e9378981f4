package cmd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/cmd"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// A bridge with settings from a file, the environment and flags signs somebody
// in, says how it is, and ends in good order.
func TestServe(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: 100 * time.Millisecond, Interval: time.Second}
	w := newWorld(t, op)
	ops := freeAddress(t)
	var file strings.Builder
	flags := w.flags()
	for name, value := range flags {
		fmt.Fprintf(&file, "%s = %q\n", name, value)
	}
	file.WriteString("person-burst = 99\nexpiry = \"1m\"\nscopes = \"car=seat,climate till=pay\"\nbroker = \"nowhere:1\"\n")
	config := w.write("bridge.toml", strings.Replace(file.String(), fmt.Sprintf("broker = %q\n", w.broker), "", 1))

	ctx, stop := context.WithCancel(context.Background())
	out, ended := new(log), make(chan int, 1)
	go func() {
		environ := []string{"CARILLON_BRIDGE_OPS=" + ops, "CARILLON_BRIDGE_LOG_FORMAT=json", "CARILLON_BRIDGE_BROKER=also-nowhere:1"}
		ended <- cmd.Main(ctx, []string{"serve", "--config", config, "--broker", w.broker, "--group", "3b1c9e0d7f2a"}, environ, io.Discard, out)
	}()
	eventually(t, "ready", func() bool { return get(ops, "/readyz") == 200 })
	if code := get(ops, "/healthz"); code != 200 {
		t.Errorf("/healthz: %d", code)
	}
	c := w.car("car-1")
	c.insist(c.signIn(c.hello(), "anna@example.com"), granted)

	stop()
	if code := <-ended; code != 0 {
		t.Errorf("exit status %d\n%s", code, out.String())
	}
	for _, name := range []string{"bridge.db.key", "bridge.db.seal"} {
		info, err := os.Stat(w.path(name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if n := strings.Count(out.String(), `"connected to the broker"`); n != 1 {
		t.Errorf("the log says %d times that the broker is there, want once\n%s", n, out.String())
	}
	if !contains(out.String(), `"made a key file`, `"outcome":"granted"`, `"carillon-bridge has stopped"`) {
		t.Errorf("log:\n%s", out.String())
	}
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

func get(address, path string) int {
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// A bridge that is killed with -9 while the phone rings is followed by one that
// goes on: one push, one grant.
func TestKill(t *testing.T) {
	op := &cibatest.Provider{Interval: time.Second}
	w := newWorld(t, op)
	first := w.spawn()
	c := w.car("car-1")
	m := c.signIn(c.hello(), "anna@example.com")
	c.insist(m, pending)
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	for _, r := range op.Requests() {
		op.Approve(r.AuthReqID)
	}
	w.spawn()
	c.insist(m, granted)
	if s := op.Stats(); s.Rang != 1 || s.Redeemed != 1 {
		t.Errorf("the provider saw %+v", s)
	}
}

// Two bridges do not share a file.
func TestSecondProcess(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	w.spawn()
	c := w.car("car-1")
	c.hello()
	if code, _, stderr := w.main(args("serve", w.flags())...); code != 1 || !contains(stderr, "--db", "another process") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
}

func TestCheckConfig(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	code, stdout, stderr := w.main(args("check-config", w.flags())...)
	if code != 0 || !contains(stdout, "urn:carillon:bridge:b1", w.op.Issuer, "will be made") {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, _ = w.main(append(args("check-config", w.flags()), "--json")...)
	var facts map[string]string
	if err := json.Unmarshal([]byte(stdout), &facts); code != 0 || err != nil || facts["issuer"] != w.op.Issuer {
		t.Errorf("exit status %d, %v: %s", code, err, stdout)
	}
	if _, err := os.Stat(w.path("bridge.db")); err == nil {
		t.Error("check-config made a database")
	}
}

// A database whose key is lost is not given another key, which would only hide
// that it has to come back from the back-up.
func TestStoreKeyLost(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	w.write("bridge.db", "a database\n")
	for _, command := range []string{"serve", "check-config"} {
		code, _, stderr := w.main(args(command, w.flags())...)
		if code != 1 || !contains(stderr, "--store-key", w.path("bridge.db.key"), "back-up") {
			t.Errorf("%s: exit status %d: %s", command, code, stderr)
		}
		if _, err := os.Stat(w.path("bridge.db.key")); err == nil {
			t.Errorf("%s made another key", command)
		}
	}
}

// Every wrong setting is named, with what was found and what is allowed.
func TestWrongSettings(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	w.store("device", w.ca.Device("car-1"))
	w.store("old", w.ca.Expired(mtls.Identity{Role: mtls.RoleBridge, ID: "b1"}))
	w.write("empty", "\n")
	w.write("text", "this is no PEM\n")
	rsa := filepath.Join(w.dir, "other.key")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&mtls.Files{KeyFile: rsa}).StoreKey(key); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags map[string]string // added to those that work; "" takes one away
		code  int
		words []string
	}{
		{map[string]string{"broker": ""}, 2, []string{"--broker is missing"}},
		{map[string]string{"broker": "mq.example.com"}, 2, []string{"--broker", "mq.example.com", "host:port"}},
		{map[string]string{"broker": ":8883"}, 2, []string{"--broker", `":8883"`, "host:port"}},
		{map[string]string{"broker": "mq.example.com:mqtts"}, 2, []string{"--broker", "mqtts", "host:port"}},
		{map[string]string{"broker": "mq.example.com:70000"}, 2, []string{"--broker", "70000"}},
		{map[string]string{"ops": "8081"}, 2, []string{"--ops", `"8081"`, "host:port"}},
		{map[string]string{"authority": "http://pki.example.com"}, 2, []string{"--authority", `"http://pki.example.com"`, "https://host:port"}},
		{map[string]string{"max-open": "0"}, 2, []string{"--max-open", "is 0", "1 or more"}},
		{map[string]string{"max-calls": "-1"}, 2, []string{"--max-calls", "is -1"}},
		{map[string]string{"trace-ratio": "2"}, 2, []string{"--trace-ratio", "is 2", "0 to 1"}},
		{map[string]string{"otlp-endpoint": "127.0.0.1:4318"}, 2, []string{"--otlp-endpoint", `"127.0.0.1:4318"`, "http://host:port"}},
		{map[string]string{"db": w.path("nowhere/bridge.db")}, 1, []string{"--db", "nowhere/bridge.db", "cannot be made"}},
		{map[string]string{"db": w.path("empty/bridge.db"), "store-key": w.path("k"), "seal-key": w.path("s")}, 1, []string{"--db", "empty", "not a directory"}},
		{map[string]string{"db": w.dir}, 1, []string{"--db", "is a directory"}},
		{map[string]string{"store-key": w.path("nowhere/k")}, 1, []string{"--store-key", "nowhere/k", "cannot be made"}},
		{map[string]string{"group": "a/b"}, 2, []string{"--group", `"a/b"`, "a-z"}},
		{map[string]string{"provider-profile": "auth-zero"}, 2, []string{"--provider-profile", `"auth-zero"`, `"generic"`, `"auth0"`, `"keycloak"`}},
		{map[string]string{"provider-profile": "auth0", "max-expiry": "18h"}, 0, nil},
		{map[string]string{"client-id": ""}, 2, []string{"--client-id is missing"}},
		{map[string]string{"issuer": "http://op.example.com"}, 2, []string{"--issuer", "http://op.example.com"}},
		{map[string]string{"cert": w.path("nothing")}, 1, []string{"--cert", "nothing"}},
		{map[string]string{"cert": w.path("device.crt"), "key": w.path("device.key")}, 1, []string{"--cert", "urn:carillon:device:car-1", `"bridge"`}},
		{map[string]string{"cert": w.path("old.crt"), "key": w.path("old.key")}, 1, []string{"--cert", "old.crt", "expired on", "enrol anew"}},
		{map[string]string{"key": rsa}, 1, []string{"--key", "does not belong"}},
		{map[string]string{"roots": w.path("text")}, 1, []string{"--roots", "no certificate"}},
		{map[string]string{"device-roots": w.path("nothing")}, 1, []string{"--device-roots", "nothing"}},
		{map[string]string{"provider-roots": w.path("text")}, 1, []string{"--provider-roots"}},
		{map[string]string{"client-secret-file": ""}, 2, []string{"--client-secret-file or --client-key is missing"}},
		{map[string]string{"client-secret-file": w.path("empty")}, 1, []string{"--client-secret-file", "is empty"}},
		{map[string]string{"client-auth": "digest"}, 2, []string{"--client-auth", `"digest"`, `"basic"`, `"self-signed-tls"`}},
		{map[string]string{"client-key": rsa}, 2, []string{"--client-secret-file and --client-key", "exactly one"}},
		{map[string]string{"client-auth": "private-key-jwt", "client-key": rsa}, 2, []string{"--client-secret-file is of no use", "private-key-jwt"}},
		{map[string]string{"client-secret-file": "", "client-auth": "post"}, 2, []string{"--client-secret-file is missing", "post"}},
		{map[string]string{"client-secret-file": "", "client-auth": "private-key-jwt"}, 2, []string{"--client-key is missing"}},
		{map[string]string{"client-secret-file": "", "client-auth": "tls", "client-key": rsa}, 2, []string{"--client-cert is missing"}},
		{map[string]string{"client-secret-file": "", "client-auth": "tls", "client-cert": w.path("device.crt")}, 2, []string{"--client-key is missing"}},
		{map[string]string{"client-secret-file": "", "client-cert": w.path("device.crt"), "client-key": w.path("device.key")}, 2, []string{"--client-auth is missing", "self-signed-tls"}},
		{map[string]string{"client-cert": w.path("device.crt")}, 2, []string{"--client-key is missing", "--client-cert"}},
		{map[string]string{"client-cert": w.path("device.crt"), "client-key": rsa}, 1, []string{"--client-cert, --client-key", "does not belong"}},
		{map[string]string{"client-key-id": "k"}, 2, []string{"--client-key-id is of no use"}},
		{map[string]string{"client-key-alg": "ES256"}, 2, []string{"--client-key-alg is of no use", "basic"}},
		{map[string]string{"sign-requests": "true"}, 2, []string{"--request-key or --client-key is missing"}},
		{map[string]string{"sign-requests": "true", "client-key": rsa}, 2, []string{"--client-key-id is missing"}},
		{map[string]string{"sign-requests": "true", "request-key": rsa}, 2, []string{"--request-key-id is missing"}},
		{map[string]string{"request-key": rsa}, 2, []string{"--request-key is of no use without --sign-requests"}},
		{map[string]string{"request-key-id": "k"}, 2, []string{"--request-key-id is of no use"}},
		{map[string]string{"sign-requests": "true", "request-key": w.path("nothing"), "request-key-id": "k"}, 1, []string{"--request-key", "nothing"}},
		{map[string]string{"resource": "https://a.example.com settings"}, 2, []string{"--resource", "element 1", "absolute URI"}},
		{map[string]string{"audience": "a\tb"}, 2, []string{"--audience", "unprintable"}},
		{map[string]string{"audience": "https://api.example.com", "provider-profile": "node-oidc-provider"}, 2, []string{"--audience"}},
		{map[string]string{"acr-values": "silver \"gold\""}, 2, []string{"--acr-values", "element 1"}},
		{map[string]string{"authorization-details": w.path("nothing")}, 1, []string{"--authorization-details", "nothing"}},
		{map[string]string{"authorization-details": w.path("text")}, 1, []string{"--authorization-details", "not a JSON array"}},
		{map[string]string{"delivery": "carry"}, 2, []string{"--delivery", `"carry"`, `"ping"`}},
		{map[string]string{"delivery": "ping"}, 2, []string{"--callback is missing", "ping"}},
		{map[string]string{"callback": ":8443"}, 2, []string{"--callback is of no use", "poll"}},
		{map[string]string{"callback-insecure-http": "true"}, 2, []string{"--callback-insecure-http is of no use"}},
		{map[string]string{"callback-cert": "c"}, 2, []string{"--callback-cert", "of no use"}},
		{map[string]string{"callback-client-roots": "c"}, 2, []string{"--callback-client-roots", "of no use"}},
		{map[string]string{"delivery": "ping", "callback": "8443"}, 2, []string{"--callback", `"8443"`, "host:port"}},
		{map[string]string{"delivery": "push", "callback": ":8443"}, 2, []string{"--callback-cert is missing", "--callback-insecure-http"}},
		{map[string]string{"delivery": "push", "callback": ":8443", "callback-cert": "c"}, 2, []string{"--callback-key is missing"}},
		{map[string]string{"delivery": "push", "callback": ":8443", "callback-cert": "c", "callback-key": "k", "callback-insecure-http": "true"}, 2, []string{"--callback-insecure-http does not go with"}},
		{map[string]string{"delivery": "push", "callback": ":8443", "callback-client-roots": "c", "callback-insecure-http": "true"}, 2, []string{"--callback-client-roots", "the proxy must"}},
		{map[string]string{"delivery": "push", "callback": ":8443", "callback-client-name": "c", "callback-insecure-http": "true"}, 2, []string{"--callback-client-name is of no use"}},
		{map[string]string{"delivery": "push", "callback": ":8443", "callback-cert": w.path("bridge.crt"), "callback-key": rsa}, 1, []string{"--callback-cert, --callback-key", "does not belong"}},
		{map[string]string{"delivery": "push", "callback": ":8443", "callback-cert": w.path("bridge.crt"), "callback-key": w.path("bridge.key"), "callback-client-roots": w.path("text")}, 1, []string{"--callback-client-roots", "no certificate"}},
		{map[string]string{"delivery": "ping", "callback": ":8443", "callback-insecure-http": "true", "push-without-at-hash": "true"}, 2, []string{"--push-without-at-hash is of no use", "ping"}},
		{map[string]string{"delivery": "push", "callback": ":8443", "callback-insecure-http": "true", "client-secret-file": "", "client-key": rsa, "provider-profile": "fapi-ciba"}, 2, []string{"--delivery", "push"}},
		{map[string]string{"client-secret-file": "", "client-key": rsa, "client-key-alg": "HS256"}, 1, []string{"--client-key", "HS256"}},
		{map[string]string{"id-token-algs": "ES256,none"}, 2, []string{"--id-token-algs", `"none"`}},
		{map[string]string{"scopes": "car"}, 2, []string{"--scopes", `"car"`, "kind=scope"}},
		{map[string]string{"session-life": "car=long"}, 2, []string{"--session-life", "car", `"long"`, "1h30m"}},
		{map[string]string{"session-life": "car"}, 2, []string{"--session-life", `"car"`, "kind=time"}},
		{map[string]string{"session-life": "car=1s"}, 2, []string{"session life of car", "1s", "1m"}},
		{map[string]string{"max-renewals": "0"}, 2, []string{"--max-renewals", "0", "1 or more"}},
		{map[string]string{"scopes": "boat=seat"}, 2, []string{"--scopes", `"boat"`, "car, till"}},
		{map[string]string{"scopes": "car=seat car=climate"}, 2, []string{"--scopes", "twice"}},
		{map[string]string{"moving": "maybe"}, 2, []string{"moving", `"maybe"`, `"refused"`}},
		{map[string]string{"expiry": "1h"}, 2, []string{"expiry", "1h0m0s", "5m0s"}},
		{map[string]string{"expiry": "soon"}, 2, []string{"expiry", `"soon"`, "90s"}},
		{map[string]string{"person-burst": "0"}, 2, []string{"person", "burst is 0"}},
		{map[string]string{"cool-down": "48h"}, 2, []string{"cool-down", "48h", "24h"}},
		{map[string]string{"log-level": "loud"}, 2, []string{"--log-level", `"loud"`, "debug"}},
		{map[string]string{"log-format": "xml"}, 2, []string{"--log-format", `"xml"`}},
		{map[string]string{"store-key": w.path("text")}, 1, []string{"--store-key", "line 1", "64 hexadecimal"}},
		{map[string]string{"seal-key": w.path("text")}, 1, []string{"--seal-key", "no PEM block"}},
		{map[string]string{"seal-key": rsa}, 1, []string{"--seal-key", "ecdsa", "X25519"}},
		{map[string]string{"nonsense": "1"}, 2, []string{"nonsense"}},
	} {
		flags := w.flags()
		maps.Copy(flags, c.flags)
		for name, value := range c.flags {
			if value == "" {
				delete(flags, name)
			}
		}
		code, _, stderr := w.main(args("check-config", flags)...)
		if code != c.code || !contains(stderr, c.words...) {
			t.Errorf("%v: exit status %d, want %d and %q:\n%s", c.flags, code, c.code, c.words, stderr)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "command is missing"},
		{[]string{"serve", "--expiry", "90"}, 2, `"90" is not a time such as 90s`},
		{[]string{"--help"}, 0, "EXAMPLE"},
		{[]string{"serve", "--help"}, 0, "-client-secret-file"},
		{[]string{"sing"}, 2, `no command "sing"`},
		{[]string{"serve", "loudly"}, 2, `"loudly"`},
		{[]string{"check-config", "--config", "/nonexistent.toml"}, 2, "nonexistent"},
		{[]string{"version"}, 0, ""},
		{[]string{"version", "--json"}, 0, ""},
	} {
		code, stdout, stderr := (&world{}).main(c.args...)
		said, silent := stderr, stdout // what was asked for is for standard output, mistakes are not
		if c.code == 0 {
			said, silent = stdout, stderr
		}
		if code != c.code || !strings.Contains(said, c.want) || silent != "" {
			t.Errorf("%q: exit status %d, want %d and %q:\n%s\n%s", c.args, code, c.code, c.want, stdout, stderr)
		}
		if c.code == 2 && strings.Count(stderr, "\n") != 2 {
			t.Errorf("%q: a mistake takes more than two lines:\n%s", c.args, stderr)
		}
	}
	var out strings.Builder
	code := cmd.Main(context.Background(), []string{"check-config"}, []string{"CARILLON_BRIDGE_EXPIRY=soon"}, io.Discard, &out)
	if code != 2 || !contains(out.String(), "CARILLON_BRIDGE_EXPIRY", "soon") {
		t.Errorf("a wrong value in the environment: exit status %d: %s", code, out.String())
	}
}
