package schemas_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The message that README.md takes apart is the vector.
func TestReadmeExample(t *testing.T) {
	text, v := readme(t), vectorNamed(t, "cancel")
	signed := arr(tstr("Signature1"), v.Message[1:15], bstr([]byte(v.Topic)), bstr(v.Payload))
	if want := hex.EncodeToString(signed); !strings.Contains(text, "\n"+want+"\n") {
		t.Errorf("README.md lacks what is signed:\n%s", want)
	}
	shown := ""
	_, block, _ := strings.Cut(text, "\n84      ")
	block, _, _ = strings.Cut(block, "```")
	for line := range strings.Lines("84" + block) {
		digits, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		shown += strings.ReplaceAll(digits, " ", "")
	}
	begin, end, _ := strings.Cut(shown, "…")
	if whole := hex.EncodeToString(v.Message); begin == "" || end == "" || !strings.HasPrefix(whole, begin) || !strings.HasSuffix(whole, end) {
		t.Errorf("README.md shows\n%s, the vector is\n%s", shown, whole)
	}
}

// Every class of failure is explained.
func TestReadmeClasses(t *testing.T) {
	text := readme(t)
	for class := range classes {
		if !strings.Contains(text, "`"+string(class)+"`") {
			t.Errorf("README.md does not explain the class %s", class)
		}
	}
}

// sizeHead begins the table of sizes.
const sizeHead = "| message | bytes | as JWS | times | budget |\n|---|---|---|---|---|\n"

// sizeTable is what is measured, as README.md shows it.
func sizeTable() string {
	var rows strings.Builder
	row := func(name string, size, asJSON int, budget string) {
		fmt.Fprintf(&rows, "| %s | %s | %s | %.1f | %s |\n", name, thousands(size), thousands(asJSON), float64(asJSON)/float64(size), budget)
	}
	for _, m := range sizes() {
		budget := "–"
		if m.budget > 0 {
			budget = fmt.Sprint(m.budget)
		}
		row(m.name, len(m.data)-m.minus, len(m.json)-m.minus, budget)
	}
	ours, theirs := wholeSignIn()
	row("whole sign-in over MQTT, both ways", ours, theirs, "1,800")
	return rows.String()
}

// The table of section 14 is what is measured here, all of it and nowhere else;
// with -update it is written anew.
func TestReadmeSizes(t *testing.T) {
	text, want := readme(t), sizeTable()
	at := strings.Index(text, "\n## 14. Sizes\n")
	if at < 0 || strings.Count(text, sizeHead) != 1 {
		t.Fatal("README.md has no section 14, or not one table of sizes")
	}
	section, _, _ := strings.Cut(text[at+1:], "\n## ")
	_, rest, ok := strings.Cut(section, sizeHead)
	if !ok {
		t.Fatal("the table of sizes is not in section 14")
	}
	got := ""
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		got += line
	}
	switch {
	case got == want:
	case *update:
		text = strings.Replace(text, sizeHead+got, sizeHead+want, 1)
		if err := os.WriteFile("README.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("section 14 of README.md has\n%s, measured is\n%s", got, want)
	}
	for line := range strings.Lines(want) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if n := strings.Count(text, "| "+name+" |"); n != 1 {
			t.Errorf("README.md has %d rows of %q, want one, in section 14", n, name)
		}
	}
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
