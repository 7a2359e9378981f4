package cmd_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// Every file in docs/providers.md is accepted as it stands, but for where the
// files that it names are; and it is of the provider whose heading it is under.
func TestProviderFiles(t *testing.T) {
	doc, err := os.ReadFile("../../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, steps, _ := strings.Cut(string(doc), "\n## Step by step\n")
	steps, _, _ = strings.Cut(steps, "\n## ")
	sections := strings.Split(steps, "\n### ")[1:]
	if len(sections) < 5 {
		t.Fatalf("%d providers in docs/providers.md, want those of 5 at least", len(sections))
	}
	for _, section := range sections {
		title, _, _ := strings.Cut(section, "\n")
		t.Run(title, func(t *testing.T) {
			blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(section, -1)
			if len(blocks) != 1 {
				t.Fatalf("%d files, want 1", len(blocks))
			}
			checkProviderFile(t, title, blocks[0][1])
		})
	}
}

func checkProviderFile(t *testing.T, title, file string) {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), ca: mtlstest.New(t)}
	w.writePEM("root.crt", w.ca.Root)
	w.store("bridge", w.ca.Bridge("b1"))
	w.store("callback", w.ca.Server("bridge.example.com"))
	w.store("client", w.ca.Server("client.example.com"))
	w.store("request", w.ca.Server("request.example.com"))
	w.write("client-secret", "secret\n")
	for _, place := range []string{"/etc/carillon/", "/var/lib/carillon/"} {
		file = strings.ReplaceAll(file, place, w.dir+"/")
	}
	code, out, errs := w.main("check-config", "--config", w.write("bridge.toml", file))
	if code != 0 {
		t.Fatalf("exit status %d: %s", code, errs)
	}
	name := regexp.MustCompile(`(?m)^provider profile +(\S+)$`).FindStringSubmatch(out)
	if name == nil {
		t.Fatalf("no profile in %q", out)
	}
	row, err := profile.Named(name[1])
	if err != nil || !strings.Contains(strings.ToLower(title), strings.TrimPrefix(strings.ToLower(row.Title), "node ")) {
		t.Errorf("the profile is %q (%v), under %q", name[1], err, title)
	}
}
