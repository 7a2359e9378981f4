package main

import (
	"bytes"
	"context"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/store/pgtest"
)

// load runs a fleet, and returns its exit status and its summary.
func load(t *testing.T, args ...string) (code int, summary map[string]any, events []map[string]any) {
	t.Helper()
	// What a killed bridge was about to do waits for a minute where several share
	// the work.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	code = run(ctx, append([]string{"fleet", "--json"}, args...), stdio{in: strings.NewReader(""), out: &stdout, err: &stderr})
	lines := objects(t, stdout.String())
	if len(lines) == 0 || lines[len(lines)-1]["event"] != "summary" {
		t.Fatalf("exit status %d, no summary, and on standard error %q:\n%s", code, &stderr, &stdout)
	}
	return code, lines[len(lines)-1], lines[:len(lines)-1]
}

func number(t *testing.T, summary map[string]any, name string) float64 {
	t.Helper()
	n, ok := summary[name].(float64)
	if !ok {
		t.Errorf("%s is %v, want a number", name, summary[name])
	}
	return n
}

// Every part is killed while forty devices sign in, some of them twice. Nothing
// is lost, and no phone rings twice for one request.
func TestFleetSurvivesKills(t *testing.T) {
	page := filepath.Join(t.TempDir(), "load.html")
	events := survive(t, 1, "bridge=500ms,broker=1s,provider=1500ms,bridge=2s", "--html", page)
	if events["connected"] != 1 {
		t.Errorf("events %v", events)
	}
	if data, err := os.ReadFile(page); err != nil || !strings.Contains(string(data), "Nothing was lost") {
		t.Errorf("the page has %d bytes, error %v", len(data), err)
	}
}

// The same with two bridges on one PostgreSQL.
func TestInteropFleetOnPostgres(t *testing.T) {
	server := pgtest.New(t, pgtest.Config{Fsync: true}) // a bridge insists
	survive(t, 2, "bridge2=500ms,broker=1s,provider=1500ms,bridge=2s", "--store", server.DSN(), "--bridges", "2")
}

// survive runs a load with four kills, and returns how often each thing has
// happened.
func survive(t *testing.T, bridges float64, kill string, more ...string) (happened map[string]int) {
	t.Helper()
	code, sum, events := load(t, append(more, "--devices", "40", "--sign-ins", "60", "--rate", "20", "--interval", "1s",
		"--approve-after", "uniform:100ms-2s", "--deny", "0.1", "--kill", kill)...)
	if code != exitOK {
		t.Errorf("exit status %d", code)
	}
	for name, want := range map[string]float64{"sign_ins": 60, "lost": 0, "open": 0, "second_pushes": 0, "duplicates": 0, "devices": 40, "bridges": bridges} {
		if got := number(t, sum, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	ended := 0.0
	for _, name := range []string{"granted", "denied", "expired", "refused"} {
		ended += number(t, sum, name)
	}
	if ended != 60 || number(t, sum, "granted") < 20 || number(t, sum, "denied") == 0 {
		t.Errorf("the ends are %v", sum)
	}
	for _, name := range []string{
		"p50_ms", "p99_ms", "token_p50_ms", "bytes_per_sign_in", "tls_bytes_per_sign_in",
		"bridge_rss_bytes", "broker_rss_bytes", "provider_rss_bytes", "devices_rss_bytes",
	} {
		if number(t, sum, name) <= 0 {
			t.Errorf("%s is %v", name, sum[name])
		}
	}
	if n := number(t, sum, "reconnects"); n != 40 {
		t.Errorf("%v new connections after one kill of the broker, want 40", n)
	}
	happened = map[string]int{}
	for _, e := range events {
		happened[e["event"].(string)]++
	}
	if kills := sum["kills"].([]any); len(kills) != 4 || happened["killed"] != 4 || happened["back"] != 4 {
		t.Errorf("kills %v, events %v", kills, happened)
	}
	return happened
}

// Without kills everybody ends as they wish: some approve, some deny, some do
// nothing, and a sign-in has its price.
func TestFleetInPeace(t *testing.T) {
	dir := t.TempDir()
	code, sum, _ := load(t, "--devices", "30", "--duration", "1s", "--interval", "1s", "--expiry", "4s", "--even",
		"--approve-after", "100ms", "--deny", "0.2", "--ignore", "0.2", "--keep", dir)
	if code != exitOK {
		t.Errorf("exit status %d", code)
	}
	for _, name := range []string{"granted", "denied", "expired"} {
		if number(t, sum, name) == 0 {
			t.Errorf("none is %s: %v", name, sum)
		}
	}
	for name, want := range map[string]float64{"sign_ins": 30, "refused": 0, "lost": 0, "second_pushes": 0, "reconnects": 0, "starved": 0, "rate": 30} {
		if got := number(t, sum, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if b := number(t, sum, "bytes_per_sign_in"); b < 700 || b > budget {
		t.Errorf("%v bytes for a sign-in", b)
	}
	keptNothingOpen(t, dir)
}

// keptNothingOpen looks for what must not be readable by others.
func keptNothingOpen(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		info, err := d.Info()
		secret := strings.HasSuffix(path, ".key") || strings.HasSuffix(path, ".journal") || strings.HasSuffix(path, ".json")
		if err == nil && secret && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil || files < 10 {
		t.Errorf("%d files are kept, error %v", files, err)
	}
}

func TestFleetUsage(t *testing.T) {
	for args, want := range map[string]string{
		"many":                             "takes no arguments",
		"--devices 0":                      "--sign-ins, --rate, --duration",
		"--devices -1 --rate 1":            "-1 devices",
		"--devices 900000":                 "open files",
		"--rate -1":                        "rate of -1",
		"--approve-after soon":             "approve-after",
		"--deny 2":                         "deny is 2",
		"--deny 0.6 --ignore 0.6":          "more than everything",
		"--expiry 1h":                      "expiry of 1h0m0s",
		"--expiry 1500ms":                  "whole seconds",
		"--interval 10ms":                  "interval of 10ms",
		"--duration soon":                  `"soon" is not a time`,
		"--bridges 2":                      "2 bridges on sqlite, which serves one",
		"--bridges 0":                      "0 bridges",
		"--store mysql":                    `--store: "mysql" is not known`,
		"--kill phone=1s":                  "--kill: no part is called",
		"--kill bridge2=1s":                "there are 1 bridges",
		"--restart-after -1s":              "restart after -1s",
		"--broker mqtts://a:1":             "--broker needs --authority",
		"--broker-roots x":                 "of no use without --broker",
		"--broker a:1 --authority x":       "want mqtts://host:port",
		"--broker mqtts://a --authority x": "want mqtts://host:port",
		"--authority x --kill broker=1s --broker mqtts://a:1": "somebody else's",
	} {
		t.Run(args, func(t *testing.T) {
			code, _, stderr := command(t, append([]string{"fleet"}, strings.Fields(args)...)...)
			if code != exitUsage || !strings.Contains(stderr, want) {
				t.Errorf("exit status %d and %q, want %d and %q", code, stderr, exitUsage, want)
			}
		})
	}
}

// A page that cannot be written is said before the load, not after it.
func TestFleetPageElsewhere(t *testing.T) {
	code, _, stderr := command(t, "fleet", "--html", "no/such/directory.html")
	if code != exitFailed || !strings.Contains(stderr, "--html: open no/such/directory.html") {
		t.Errorf("exit status %d and %q", code, stderr)
	}
}

// Every flag is explained where people look for it.
func TestFleetFlagsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	var f fleetFlags
	fs := newFlagSet("fleet")
	f.define(fs)
	fs.VisitAll(func(f *flag.Flag) {
		if !regexp.MustCompile("`--" + f.Name + "[` ]").Match(doc) {
			t.Errorf("docs/simulator.md says nothing of --%s", f.Name)
		}
	})
}

// Ctrl-C ends a load, children included, and what was done is reported.
func TestFleetInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, status := newScreen(), newScreen()
	ended := make(chan int, 1)
	go func() {
		args := strings.Fields("fleet --devices 20 --rate 10 --duration 1h --approve-after 1h")
		ended <- run(ctx, args, stdio{in: strings.NewReader(""), out: out, err: status, status: true})
	}()
	soon, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := status.await(soon, " open, 0 granted"); err != nil {
		t.Fatal(err)
	}
	if len(children(t)) != 3 {
		t.Errorf("processes %v while it runs, want a broker, a provider and a bridge", children(t))
	}
	cancel()
	if code := <-ended; code != exitFailed {
		t.Errorf("exit status %d, want %d", code, exitFailed)
	}
	for _, want := range []string{"interrupted, 36,000 were planned", `\nlost +0 `, `\nopen +[1-9]`} {
		if !regexp.MustCompile(want).MatchString(out.text) {
			t.Errorf("the report lacks %q:\n%s", want, out.text)
		}
	}
	if !strings.Contains(status.text, "device-sim: interrupted") {
		t.Errorf("it does not say that it was interrupted: %q", status.text)
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// children are the processes that this one has started, and that are there.
func children(t *testing.T) (pids []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Fatalf("no processes can be seen, error %v", err)
	}
	for _, name := range stats {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			pids = append(pids, filepath.Base(filepath.Dir(name)))
		}
	}
	return pids
}
