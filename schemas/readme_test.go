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

// The table in README.md is what is measured here.
func TestReadmeSizes(t *testing.T) {
	text := readme(t)
	row := func(name string, size, asJSON int, budget string) {
		line := fmt.Sprintf("| %s | %s | %s | %.1f | %s |", name, thousands(size), thousands(asJSON), float64(asJSON)/float64(size), budget)
		if !strings.Contains(text, line+"\n") {
			t.Errorf("README.md lacks the row\n%s", line)
		}
	}
	for _, m := range sizes() {
		budget := ""
		if m.budget > 0 {
			budget = fmt.Sprint(m.budget)
		}
		row(m.name, len(m.data)-m.minus, len(m.json)-m.minus, budget)
	}
	ours, theirs := wholeSignIn()
	row("whole sign-in over MQTT, both ways", ours, theirs, "1,800")
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
