package profile_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

var update = flag.Bool("update", false, "write the table in docs/providers.md anew")

const (
	docs       = "../../../docs/providers.md"
	begin, end = "<!-- go test ./bridge/ciba/profile -update writes from here -->\n", "<!-- to here -->\n"
)

// TestDocs: the table for people is that of the package.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", docs)
	}
	want := before + begin + markdown() + end + after
	if *update {
		if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Errorf("%s is out of date: run go test ./bridge/ciba/profile -update", docs)
	}
}

// A column of the table. A cell is empty where nothing is known to differ from
// the specification.
type column struct {
	title string
	cell  func(profile.Profile) string
}

var columns = []column{
	{"profile", func(p profile.Profile) string { return code(p.Name) + " " + p.Title }},
	{"client", clientCell},
	{"hints", hintsCell},
	{"binding message", bindingCell},
	{"expiry", expiryCell},
	{"token requests", pollingCell},
	{"other parameters", parametersCell},
	{"limits", limitsCell},
	{"known from", sourcesCell},
}

func markdown() string {
	var b strings.Builder
	line := func(cell func(column) string) {
		b.WriteString("|")
		for _, c := range columns {
			b.WriteString(" " + strings.ReplaceAll(cell(c), "|", `\|`) + " |")
		}
		b.WriteString("\n")
	}
	line(func(c column) string { return c.title })
	line(func(column) string { return "---" })
	for _, p := range profile.All() {
		line(func(c column) string { return c.cell(p) })
	}
	return b.String()
}

// facts joins those that are not empty.
func facts(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "; ")
}

func when(yes bool, format string, args ...any) string {
	if !yes {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func code(s string) string { return "`" + s + "`" }

func codes(list []string) string {
	var quoted []string
	for _, s := range list {
		quoted = append(quoted, code(s))
	}
	return strings.Join(quoted, ", ")
}

func span(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

func clientCell(p profile.Profile) string {
	return facts(codes(p.Client.Delivery), codes(p.Client.Auth), when(p.FAPI, "signatures with PS256 or ES256 alone"))
}

func hintsCell(p profile.Profile) string {
	h := p.Hints
	return facts(codes(h.Kinds),
		when(h.Format == profile.IssSub, "a login hint is %s with the subject", code(`{"format":"iss_sub",…}`)),
		when(h.Unknown != profile.Answer{}, "unknown: %s, %q", code(h.Unknown.Code), h.Unknown.Description))
}

func bindingCell(p profile.Profile) string {
	b := p.Binding
	special := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return -1
		}
		return c
	}, b.Alphabet)
	return facts(when(b.Required, "required"), when(p.FAPI, "required, or authorization details"),
		when(b.Longest > 0, "up to %d characters", b.Longest),
		when(b.Alphabet != "", "letters, digits, %s", code(special)))
}

func expiryCell(p profile.Profile) string {
	e := p.Expiry
	return facts(when(e.Parameter != "", "called %s", code(e.Parameter)),
		when(e.Default > 0, "%s if not asked", span(e.Default)),
		when(e.Longest > 0, "up to %s", span(e.Longest)),
		when(e.Push > 0, "an e-mail beyond %s", span(e.Push)),
		when(e.OnlyShortens, "can only be shortened"),
		when(e.Unsaid, "and %s does not say so", code("expires_in")))
}

func pollingCell(p profile.Profile) string {
	q := p.Polling
	return facts(when(q.AtOnce, "answered at once"), when(q.NeverSlow, "no %s", code("slow_down")),
		when(q.RetryAfter, "%s with %s", code("slow_down"), code("Retry-After")),
		when(q.Interval, "and %s", code("interval")),
		when(q.ExpiredAsDenied, "%s for expired, too", code("access_denied")))
}

func parametersCell(p profile.Profile) string {
	q := p.Parameters
	return facts(codes(q.Target),
		when(q.Signed != "", "signed requests: %s", q.Signed), when(q.ClientIDTwice, "%s in them and beside them", code("client_id")),
		when(q.Details != "", "%s: %s", code("authorization_details"), q.Details),
		when(q.UserCode != "", "%s: %s", code("user_code"), q.UserCode))
}

func limitsCell(p profile.Profile) string {
	l := p.Limits
	return facts(when(l.PerMinute > 0, "%d a minute", l.PerMinute), when(l.PerPerson > 0, "%d a minute to one person", l.PerPerson),
		when(l.Pending > 0, "%d undecided", l.Pending), when(l.Shared, "of the tenant, not of the client"))
}

func sourcesCell(p profile.Profile) string {
	var list []string
	for _, s := range p.Sources {
		list = append(list, string(s.How)+": "+s.What)
	}
	return strings.Join(list, "; ")
}
